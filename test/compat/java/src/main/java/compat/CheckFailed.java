package compat;

/** A check did not hold; the message says what was expected of what. */
final class CheckFailed extends RuntimeException {
  private static final long serialVersionUID = 1L;

  CheckFailed(String text) {
    super(text);
  }

  CheckFailed(String text, Throwable cause) {
    super(text + ": " + cause, cause);
  }
}
