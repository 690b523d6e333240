package compat;

import static compat.Keys.bytes;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import org.tikv.common.BytePairWrapper;
import org.tikv.common.ByteWrapper;
import org.tikv.common.TiConfiguration;
import org.tikv.common.TiSession;
import org.tikv.common.util.BackOffer;
import org.tikv.common.util.ConcreteBackOffer;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;
import org.tikv.txn.KVClient;
import org.tikv.txn.TwoPhaseCommitter;

/**
 * Works while nodes fail: what failed is repeated, and nothing else is done about it, until the
 * input ends. What is read must be what was written.
 *
 * <p>A line "raw N txn M failed K" a few times a second tells what succeeded so far, and how many
 * calls were repeated; the driver is test/faults/ride.
 */
final class Ride {
  private static final int BACKOFF_MS = 10_000;

  /** Of each try; by default 200, less than a write to a slow disk takes. */
  private static final long TRY_MS = 2_000;

  /** Of a raw call's tries; by default one of the above would be all. */
  private static final int RAW_MS = 10_000;

  private static final long LOCK_TTL_MS = 3_000;
  private static final long PAUSE_MS = 50;

  private final String endpoints;
  private final String prefix = "ride/java/" + System.nanoTime() + "/";
  private final AtomicLong raws = new AtomicLong();
  private final AtomicLong txns = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private volatile boolean over;
  private volatile Exception strange;

  Ride(String endpoints) {
    this.endpoints = endpoints;
  }

  void run() throws Exception {
    TiConfiguration rawConf = Main.secured(TiConfiguration.createRawDefault(endpoints));
    TiConfiguration conf = Main.secured(TiConfiguration.createDefault(endpoints));
    rawConf.setTimeout(TRY_MS);
    rawConf.setRawKVReadTimeoutInMS(RAW_MS);
    rawConf.setRawKVWriteTimeoutInMS(RAW_MS);
    conf.setTimeout(TRY_MS);
    try (TiSession rawSession = TiSession.create(rawConf);
        RawKVClient raw = rawSession.createRawClient();
        TiSession session = TiSession.create(conf);
        KVClient txn = session.createKVClient()) {
      Thread rawWork = start(() -> workRaw(raw));
      Thread txnWork = start(() -> workTxn(session, txn));
      start(
              () -> {
                while (System.in.read() >= 0) {}
                over = true;
                return null;
              })
          .setName("input");
      while (!over && strange == null) {
        System.out.printf("raw %d txn %d failed %d%n", raws.get(), txns.get(), failed.get());
        Thread.sleep(100);
      }
      over = true;
      rawWork.join();
      txnWork.join();
    }
    if (strange != null) {
      throw strange;
    }
    System.out.printf(
        "ride: %d raw, %d transactions, %d failures repeated%n", raws.get(), txns.get(), failed.get());
  }

  private Thread start(Callable<Void> work) {
    Thread thread =
        new Thread(
            () -> {
              try {
                work.call();
              } catch (Exception e) {
                strange = e;
              }
            });
    thread.setDaemon(true);
    thread.start();
    return thread;
  }

  /** Repeats a call until it succeeds; null if the work is over. */
  private <T> T again(Callable<T> call) throws Exception {
    while (!over) {
      try {
        return call.call();
      } catch (CheckFailed e) {
        throw e;
      } catch (Exception e) {
        failed.incrementAndGet();
        Thread.sleep(PAUSE_MS);
      }
    }
    return null;
  }

  private Void workRaw(RawKVClient client) throws Exception {
    ByteString key = bytes(prefix + "raw");
    for (long n = 1; !over; n++) {
      ByteString value = bytes(Long.toString(n));
      if (again(
              () -> {
                client.put(key, value);
                return true;
              })
          == null) {
        break;
      }
      raws.incrementAndGet();
      ByteString got = again(() -> client.get(key).orElse(ByteString.EMPTY));
      if (got == null) {
        break;
      }
      Keys.same("a value that was put", got, value);
      Thread.sleep(5);
    }
    return null;
  }

  private Void workTxn(TiSession session, KVClient client) throws Exception {
    for (int n = 0; !over; n++) {
      int from = n;
      if (again(() -> count(session, client, from)) == null) {
        break;
      }
      txns.incrementAndGet();
      Thread.sleep(10);
    }
    return null;
  }

  private static BackOffer backOffer() {
    return ConcreteBackOffer.newCustomBackOff(BACKOFF_MS);
  }

  private int read(KVClient client, String name, long at) {
    ByteString value = client.get(bytes(prefix + name), at);
    return value.isEmpty() ? 0 : Integer.parseInt(value.toStringUtf8());
  }

  /** Counts from n to n + 1 on two keys, unless an attempt that seemed to fail has done it. */
  private boolean count(TiSession session, KVClient client, int n) throws Exception {
    long start = session.getTimestamp().getVersion();
    int first = read(client, "txn0", start);
    int second = read(client, "txn1", start);
    if (first != second || first != n && first != n + 1) {
      throw new CheckFailed("counts " + first + ", " + second + ", and was at " + n);
    }
    if (first == n + 1) {
      return true;
    }
    byte[] primary = bytes(prefix + "txn0").toByteArray();
    byte[] secondary = bytes(prefix + "txn1").toByteArray();
    byte[] value = Integer.toString(n + 1).getBytes();
    try (TwoPhaseCommitter committer = new TwoPhaseCommitter(session, start, LOCK_TTL_MS)) {
      committer.prewritePrimaryKey(backOffer(), primary, value);
      committer.prewriteSecondaryKeys(
          primary, List.of(new BytePairWrapper(secondary, value)).iterator(), BACKOFF_MS);
      long commit = session.getTimestamp().getVersion();
      committer.commitPrimaryKey(backOffer(), primary, commit);
      committer.commitSecondaryKeys(
          List.of(new ByteWrapper(secondary)).iterator(), commit, BACKOFF_MS);
    }
    return true;
  }
}
