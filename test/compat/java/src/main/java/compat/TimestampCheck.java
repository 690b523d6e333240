package compat;

import java.util.HashSet;
import java.util.Set;
import org.tikv.common.TiSession;

/**
 * Timestamps asked for by many threads at once. Each has to be larger than every one that anybody
 * had in hand before it was asked for, and close to this machine's clock.
 */
final class TimestampCheck {
  private static final long DRIFT_MS = 60_000;
  private static final int LOGICAL_BITS = 18;

  private final Set<Long> seen = new HashSet<>();
  private long highest;

  private TimestampCheck() {}

  static void run(TiSession session, int threads, int each) throws InterruptedException {
    TimestampCheck check = new TimestampCheck();
    Together.run(
        threads,
        who -> {
          for (int i = 0; i < each; i++) {
            long before = check.highest();
            check.add(session.getTimestamp().getVersion(), before);
          }
        });
  }

  private synchronized long highest() {
    return highest;
  }

  private synchronized void add(long ts, long before) {
    if (ts <= before) {
      throw new CheckFailed("timestamp " + ts + " was asked for after " + before + " was known");
    }
    if (!seen.add(ts)) {
      throw new CheckFailed("timestamp " + ts + " was given twice");
    }
    highest = Math.max(highest, ts);
    long off = (ts >> LOGICAL_BITS) - System.currentTimeMillis();
    if (Math.abs(off) > DRIFT_MS) {
      throw new CheckFailed("timestamp " + ts + " is " + off + " ms away from the clock");
    }
  }
}
