package compat;

import static compat.Keys.bytes;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.tikv.common.BytePairWrapper;
import org.tikv.common.ByteWrapper;
import org.tikv.common.PDClient;
import org.tikv.common.Snapshot;
import org.tikv.common.TiSession;
import org.tikv.common.exception.KeyException;
import org.tikv.common.exception.TiBatchWriteException;
import org.tikv.common.meta.TiTimestamp;
import org.tikv.common.region.RegionStoreClient;
import org.tikv.common.region.TiRegion;
import org.tikv.common.region.TiStore;
import org.tikv.common.util.BackOffer;
import org.tikv.common.util.ConcreteBackOffer;
import org.tikv.common.util.Pair;
import org.tikv.kvproto.Kvrpcpb.KvPair;
import org.tikv.kvproto.PDGrpc;
import org.tikv.kvproto.Pdpb;
import org.tikv.shade.com.google.protobuf.ByteString;
import org.tikv.txn.KVClient;
import org.tikv.txn.TwoPhaseCommitter;
import org.tikv.txn.TxnKVClient;
import org.tikv.txn.type.ClientRPCResult;

/**
 * The checks of transactions. This client has optimistic ones alone, in two phases that the
 * application calls one by one.
 */
final class TxnChecks {
  private static final long LONG_TTL_MS = 20_000;
  private static final long SHORT_TTL_MS = 1_000;
  private static final int BACKOFF_MS = 20_000;

  private final TiSession session;
  private final KVClient client;
  private final String prefix;

  // Of the collection: two versions below its safe point.
  private long first;
  private long second;
  private long safePoint;

  /** All keys are below the prefix. */
  TxnChecks(TiSession session, KVClient client, String prefix) {
    this.session = session;
    this.client = client;
    this.prefix = prefix;
  }

  private interface Check {
    void run() throws Exception;
  }

  void run() throws Exception {
    Killed killed = new Killed();
    for (String moment : Killed.MOMENTS) {
      store(Killed.pairs("killed/" + moment + "/", "old"));
    }
    killed.start(prefix + "killed/");
    startCollection();
    step("commits", this::commits);
    step("scans", this::scans);
    step("conflicts", this::conflicts);
    step("left behind", this::leftBehind);
    step("heartbeat", this::heartbeat);
    killed.kill();
    step("killed", this::killed);
    step("collection", this::refused);
  }

  /** What has to be there after a long time in which the client does nothing. */
  void beforeIdling() throws Exception {
    store(pairs("idle/a", "before", "idle/b", "before"));
  }

  void afterIdling() throws Exception {
    expect(now(), "idle/a", "before");
    store(pairs("idle/a", "after", "idle/b", "after"));
    expect(now(), "idle/a", "after");
    expect(now(), "idle/b", "after");
  }

  private static void step(String name, Check check) throws Exception {
    long began = System.nanoTime();
    check.run();
    System.out.printf("txncheck: %s: %.1f s%n", name, (System.nanoTime() - began) / 1e9);
  }

  private ByteString key(String suffix) {
    return bytes(prefix + suffix);
  }

  private long now() {
    return session.getTimestamp().getVersion();
  }

  private static BackOffer backOffer() {
    return ConcreteBackOffer.newCustomBackOff(BACKOFF_MS);
  }

  /** Does the first phase of all pairs, whose first key becomes the primary. */
  TwoPhaseCommitter prewrite(long start, long ttl, NavigableMap<String, ByteString> pairs)
      throws Exception {
    TwoPhaseCommitter committer = new TwoPhaseCommitter(session, start, ttl);
    byte[] primary = key(pairs.firstKey()).toByteArray();
    committer.prewritePrimaryKey(backOffer(), primary, pairs.firstEntry().getValue().toByteArray());
    List<BytePairWrapper> rest = new ArrayList<>();
    for (Map.Entry<String, ByteString> one : pairs.tailMap(pairs.firstKey(), false).entrySet()) {
      rest.add(new BytePairWrapper(key(one.getKey()).toByteArray(), one.getValue().toByteArray()));
    }
    if (!rest.isEmpty()) {
      committer.prewriteSecondaryKeys(primary, rest.iterator(), BACKOFF_MS);
    }
    return committer;
  }

  /** Commits all pairs and gives the timestamp at which that happened. */
  private long store(NavigableMap<String, ByteString> pairs) throws Exception {
    try (TwoPhaseCommitter committer = prewrite(now(), LONG_TTL_MS, pairs)) {
      long commit = now();
      committer.commitPrimaryKey(backOffer(), key(pairs.firstKey()).toByteArray(), commit);
      List<ByteWrapper> rest = new ArrayList<>();
      for (String name : pairs.tailMap(pairs.firstKey(), false).keySet()) {
        rest.add(new ByteWrapper(key(name).toByteArray()));
      }
      committer.commitSecondaryKeys(rest.iterator(), commit, BACKOFF_MS);
      return commit;
    }
  }

  private static NavigableMap<String, ByteString> pairs(String... keysAndValues) {
    NavigableMap<String, ByteString> m = new TreeMap<>();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      m.put(keysAndValues[i], bytes(keysAndValues[i + 1]));
    }
    return m;
  }

  /** An absent key is an empty value to this client. */
  private void expect(long at, String name, String want) {
    Keys.same("get " + name, client.get(key(name), at), bytes(want));
  }

  /** Commits versions and reads each of them: one by one, in batches, through snapshots. */
  private void commits() throws Exception {
    List<Long> commits = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      commits.add(store(pairs("a", "a" + i, "b", "b" + i, "c", "x".repeat(i * 100 + 1))));
    }
    for (int i = 0; i < 10; i++) {
      long at = commits.get(i);
      expect(at, "a", "a" + i);
      expect(at - 1, "b", i == 0 ? "" : "b" + (i - 1));
      expect(at, "c", "x".repeat(i * 100 + 1));
      // A list that the client may sort.
      List<ByteString> keys = new ArrayList<>(List.of(key("c"), key("none"), key("a")));
      List<KvPair> got = client.batchGet(backOffer(), keys, at);
      NavigableMap<ByteString, ByteString> found =
          new TreeMap<>(ByteString.unsignedLexicographicalComparator());
      got.forEach(pair -> found.put(pair.getKey(), pair.getValue()));
      Keys.same("number of pairs", found.size(), 2);
      Keys.same("batch get", found.get(key("a")), bytes("a" + i));
      TiTimestamp stamp = new TiTimestamp(at >> 18, at & ((1 << 18) - 1));
      Snapshot snapshot = session.createSnapshot(stamp);
      Keys.same("snapshot", snapshot.get(key("b")), bytes("b" + i));
    }
  }

  /** Scans several hundred keys over several requests. */
  private void scans() throws Exception {
    NavigableMap<String, ByteString> m = new TreeMap<>();
    for (int i = 0; i < 700; i++) {
      m.put(String.format("scan/%05d", i), bytes("v".repeat(i % 400 + 1)));
    }
    long at = store(m);
    for (int i = 0; i < 700; i += 3) {
      m.put(String.format("scan/%05d", i), bytes("second"));
    }
    long second = store(m);
    List<KvPair> got = client.scan(key("scan/"), key("scan0"), second);
    Keys.same("pairs of a scan", got.size(), m.size());
    Iterator<Map.Entry<String, ByteString>> want = m.entrySet().iterator();
    for (KvPair pair : got) {
      Map.Entry<String, ByteString> one = want.next();
      Keys.same("key of a scan", pair.getKey(), key(one.getKey()));
      Keys.same("value of a scan", pair.getValue(), one.getValue());
    }
    Iterator<KvPair> prefixed =
        session
            .createSnapshot(new TiTimestamp(at >> 18, at & ((1 << 18) - 1)))
            .scanPrefix(key("scan/0000"));
    for (int i = 0; i < 10; i++) {
      Keys.same("a pair below a prefix", prefixed.hasNext(), true);
      KvPair pair = prefixed.next();
      Keys.same("key below a prefix", pair.getKey(), key(String.format("scan/%05d", i)));
      Keys.same("value below a prefix", pair.getValue(), bytes("v".repeat(i % 400 + 1)));
    }
    Keys.same("more below a prefix", prefixed.hasNext(), false);
  }

  /** The second of two transactions fails and changes nothing. */
  private void conflicts() throws Exception {
    long start = now();
    store(pairs("conflict", "winner"));
    try (TwoPhaseCommitter loser = new TwoPhaseCommitter(session, start, LONG_TTL_MS)) {
      // It tries again and again, for as long as it may.
      BackOffer brief = ConcreteBackOffer.newCustomBackOff(500);
      loser.prewritePrimaryKey(
          brief, key("conflict").toByteArray(), bytes("loser").toByteArray());
      throw new CheckFailed("a prewrite below a newer version succeeded");
    } catch (TiBatchWriteException e) {
      expect(now(), "conflict", "winner");
    }
  }

  /** Readers clean up after transactions that nobody ends. */
  private void leftBehind() throws Exception {
    NavigableMap<String, ByteString> old = pairs("left/1", "old", "left/2", "old");
    NavigableMap<String, ByteString> next = pairs("left/1", "new", "left/2", "new");
    store(old);
    prewrite(now(), SHORT_TTL_MS, next); // and no more of it
    expect(now(), "left/2", "old");
    expect(now(), "left/1", "old");

    long start = now();
    TwoPhaseCommitter committer = prewrite(start, LONG_TTL_MS, next);
    committer.commitPrimaryKey(backOffer(), key("left/1").toByteArray(), now());
    expect(now(), "left/2", "new");
    expect(start, "left/2", "old");
    List<KvPair> got = client.scan(key("left/"), key("left0"), now());
    Keys.same("pairs after the cleanup", got.size(), 2);
    store(old);
    expect(now(), "left/1", "old");
  }

  private void heartbeat() throws Exception {
    long start = now();
    TwoPhaseCommitter committer = prewrite(start, SHORT_TTL_MS, pairs("beat", "v"));
    ByteString key = key("beat");
    try (TxnKVClient txn = session.createTxnClient()) {
      Pair<TiRegion, TiStore> where = session.getRegionManager().getRegionStorePairByKey(key);
      ClientRPCResult done =
          txn.txnHeartBeat(backOffer(), key, start, LONG_TTL_MS, where.first, where.second);
      Keys.same("heartbeat", done.isSuccess(), true);
      Thread.sleep(SHORT_TTL_MS * 2);
      // A reader now pushes the transaction or waits; it must not roll it back.
      done = txn.txnHeartBeat(backOffer(), key, start, LONG_TTL_MS, where.first, where.second);
      Keys.same("second heartbeat", done.isSuccess(), true);
      committer.commitPrimaryKey(backOffer(), key.toByteArray(), now());
      expect(now(), "beat", "v");
      done = txn.txnHeartBeat(backOffer(), key, start, LONG_TTL_MS, where.first, where.second);
      Keys.same("heartbeat of what is committed", done.isSuccess(), false);
    }
  }

  /** Whoever comes next cleans up after clients that were killed, whatever key it meets first. */
  private void killed() throws Exception {
    for (int i = 0; i < Killed.MOMENTS.size(); i++) {
      String moment = Killed.MOMENTS.get(i);
      String below = "killed/" + moment + "/";
      String value = Killed.valueAfter(moment);
      expect(now(), below + Killed.NAMES.get(2 - i), value);
      for (KvPair pair : client.scan(key(below), key("killed/" + moment + "0"), now())) {
        Keys.same("after a client was " + moment, pair.getValue(), bytes(value));
      }
      store(Killed.pairs(below, "mine"));
      expect(now(), below + Killed.NAMES.get(0), "mine");
    }
  }

  /**
   * Reads below the GC safe point are refused by the store as soon as it hears of it, since this
   * client does not ask. Nor does it move the point: its stubs do.
   */
  private void startCollection() throws Exception {
    first = store(pairs("collected", "first"));
    second = store(pairs("collected", "second"));
    safePoint = now();
    Keys.same("the safe point", moveSafePoint(safePoint), safePoint);
    store(pairs("collected", "third"));
  }

  /** By the client's calls of one region: those of KVClient try again for 20 seconds. */
  private void refused() throws Exception {
    ByteString key = key("collected");
    RegionStoreClient region = session.getRegionStoreClientBuilder().build(key);
    long end = System.nanoTime() + 40_000_000_000L;
    while (!isRefused(() -> region.get(backOffer(), key, second))) {
      Keys.same("reads below the safe point go on", System.nanoTime() > end, false);
      Thread.sleep(200);
    }
    List<ByteString> keys = List.of(key, key("other"));
    for (long at : new long[] {first, second, safePoint - 1}) {
      Keys.same("get refused", isRefused(() -> region.get(backOffer(), key, at)), true);
      Keys.same(
          "batch get refused", isRefused(() -> region.batchGet(backOffer(), keys, at)), true);
      Keys.same("scan refused", isRefused(() -> region.scan(backOffer(), key, at)), true);
    }
    expect(safePoint, "collected", "second");
    expect(now(), "collected", "third");
  }

  private long moveSafePoint(long safePoint) {
    PDClient pd = session.getPDClient();
    String address = pd.getPdAddrs().get(0).getAuthority();
    Pdpb.UpdateGCSafePointResponse done =
        PDGrpc.newBlockingStub(session.getChannelFactory().getChannel(address, pd.getHostMapping()))
            .updateGCSafePoint(
                Pdpb.UpdateGCSafePointRequest.newBuilder()
                    .setHeader(Pdpb.RequestHeader.newBuilder().setClusterId(pd.getClusterId()))
                    .setSafePoint(safePoint)
                    .build());
    return done.getNewSafePoint();
  }

  /** Whether the store said that the timestamp is too old; another failure is thrown. */
  private static boolean isRefused(Check read) throws Exception {
    try {
      read.run();
      return false;
    } catch (Exception e) {
      for (Throwable t = e; t != null; t = t.getCause()) {
        if (String.valueOf(t.getMessage()).contains("TxnAbortedByGC")
            || t instanceof KeyException k
                && k.getKeyErr() != null
                && k.getKeyErr().getAbort().contains("TxnAbortedByGC")) {
          return true;
        }
      }
      throw e;
    }
  }
}
