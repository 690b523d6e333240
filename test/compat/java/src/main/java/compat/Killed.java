package compat;

import static compat.Keys.bytes;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.tikv.common.TiSession;
import org.tikv.common.util.ConcreteBackOffer;
import org.tikv.shade.com.google.protobuf.ByteString;
import org.tikv.txn.TwoPhaseCommitter;

/** Clients in processes of their own that are killed in the middle of a commit. */
final class Killed {
  /** The moments; what the keys hold afterwards is {@link #valueAfter}. */
  static final List<String> MOMENTS = List.of("prewritten", "primary-committed");

  static final List<String> NAMES = List.of("a", "b", "c");

  private static final String READY = "now it may be killed";
  private static final int KILLED_BY_SIGKILL = 128 + 9;
  private static final long TTL_MS = 3_000;

  private final List<Process> processes = new ArrayList<>();

  static String valueAfter(String moment) {
    return moment.equals("primary-committed") ? "new" : "old";
  }

  static NavigableMap<String, ByteString> pairs(String prefix, String value) {
    NavigableMap<String, ByteString> m = new TreeMap<>();
    NAMES.forEach(name -> m.put(prefix + name, bytes(value)));
    return m;
  }

  /** Changes keys below the prefix and waits at the moment to be killed. */
  static void die(TiSession session, String moment, String prefix) throws Exception {
    TxnChecks checks = new TxnChecks(session, null, "");
    long start = session.getTimestamp().getVersion();
    TwoPhaseCommitter committer = checks.prewrite(start, TTL_MS, pairs(prefix, "new"));
    if (moment.equals("primary-committed")) {
      committer.commitPrimaryKey(
          ConcreteBackOffer.newCustomBackOff(10_000),
          bytes(prefix + NAMES.get(0)).toByteArray(),
          session.getTimestamp().getVersion());
    }
    System.out.println(READY);
    System.out.flush();
    Thread.sleep(120_000);
    throw new CheckFailed("nobody has killed the client");
  }

  /** Starts a client for each moment, below prefix, moment and a slash. */
  void start(String prefix) throws IOException {
    String java = System.getProperty("java.home") + "/bin/java";
    for (String moment : MOMENTS) {
      processes.add(
          new ProcessBuilder(
                  java,
                  "-cp",
                  System.getProperty("java.class.path"),
                  "compat.Main",
                  "die",
                  moment,
                  prefix + moment + "/")
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start());
    }
  }

  /** Kills each client as soon as it says that it has come so far. */
  void kill() throws Exception {
    for (Process process : processes) {
      BufferedReader out =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
      Keys.same("a client came to its moment", out.lines().anyMatch(READY::equals), true);
      process.destroyForcibly();
      Keys.same("how a client ended", process.waitFor(), KILLED_BY_SIGKILL);
    }
  }
}
