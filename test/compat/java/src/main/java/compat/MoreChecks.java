package compat;

import static compat.Keys.bytes;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import org.tikv.common.exception.RawCASConflictException;
import org.tikv.common.util.Pair;
import org.tikv.common.util.ScanOption;
import org.tikv.kvproto.Kvrpcpb.KvPair;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;

/** The checks of compare and set, ranges and times to live. */
final class MoreChecks {
  private static final int THREADS = 6;

  private final RawKVClient client;

  /**
   * For compare and set the client must be in the mode in which it and writes of a key have an
   * order.
   */
  MoreChecks(RawKVClient client) {
    this.client = client;
  }

  void compareAndSet(Keys k) {
    ByteString key = k.key("k");
    expectSet(key, Optional.of(bytes("one")), "two", Optional.empty(), false);
    k.expect(key, null);
    expectSet(key, Optional.empty(), "one", Optional.empty(), true);
    expectSet(key, Optional.empty(), "two", Optional.of(bytes("one")), false);
    expectSet(key, Optional.of(bytes("two")), "two", Optional.of(bytes("one")), false);
    k.expect(key, bytes("one"));
    expectSet(key, Optional.of(bytes("one")), "two", Optional.of(bytes("one")), true);
    k.expect(key, bytes("two"));
    Keys.same("put if absent", client.putIfAbsent(key, bytes("x")), Optional.of(bytes("two")));
    k.delete(key);
    Keys.same("put if absent", client.putIfAbsent(key, bytes("x")), Optional.empty());
    k.expect(key, bytes("x"));
  }

  /** The client itself refuses it in the other mode. */
  void noCompareAndSet(Keys k) {
    ByteString key = k.key("k");
    expectRefused(() -> client.compareAndSet(key, Optional.empty(), bytes("v")));
    expectRefused(() -> client.putIfAbsent(key, bytes("v")));
    k.expect(key, null);
  }

  private static void expectRefused(Runnable command) {
    try {
      command.run();
    } catch (IllegalArgumentException e) {
      return;
    }
    throw new CheckFailed("compare and set was accepted");
  }

  /** The client tells the value of before only when it was not the expected one. */
  private void expectSet(
      ByteString key,
      Optional<ByteString> expected,
      String value,
      Optional<ByteString> before,
      boolean done) {
    try {
      client.compareAndSet(key, expected, bytes(value));
      Keys.same("compare and set succeeded", true, done);
    } catch (RawCASConflictException e) {
      Keys.same("compare and set succeeded", false, done);
      Keys.same("value of before", e.getPrevValue(), before);
    }
  }

  /** Raises one number from several threads by compare and set alone: none may be lost. */
  void counter(Keys k) throws InterruptedException {
    int raises = 30;
    ByteString key = k.key("n");
    k.put(key, bytes("0"));
    Together.run(
        THREADS,
        who -> {
          for (int done = 0; done < raises; ) {
            ByteString value = k.get(key).orElseThrow();
            int n = Integer.parseInt(value.toStringUtf8());
            try {
              client.compareAndSet(key, Optional.of(value), bytes(String.valueOf(n + 1)));
              done++;
            } catch (RawCASConflictException e) {
              // another thread was faster
            }
          }
        });
    k.expect(key, bytes(String.valueOf(THREADS * raises)));
  }

  void deleteRange(Keys k) {
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (int i = 0; i < 1000; i++) {
      model.put(k.key(String.format("%04d", i)), bytes("v"));
    }
    k.batchPut(model);
    client.deleteRange(k.key("0100"), k.key("0900"));
    model.subMap(k.key("0100"), k.key("0900")).clear();
    k.expectAll(model);
    k.put(k.key("0500"), bytes("again"));
    model.put(k.key("0500"), bytes("again"));
    k.expectAll(model);
    client.deletePrefix(k.key("00"));
    model.subMap(k.key("00"), k.key("01")).clear();
    k.expectAll(model);
    client.deletePrefix(k.prefix());
    k.expectAll(Keys.model());
  }

  void batchScan(Keys k) {
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (int i = 0; i < 100; i++) {
      model.put(k.key(String.format("%04d", i)), bytes("v" + i));
    }
    k.batchPut(model);
    List<ScanOption> options = new ArrayList<>();
    String[][] bounds = {{"0010", "0013"}, {"0050", "0090"}, {"0099", "0200"}, {"0300", "0400"}};
    for (String[] range : bounds) {
      options.add(
          ScanOption.newBuilder()
              .setStartKey(k.key(range[0]))
              .setEndKey(k.key(range[1]))
              .setLimit(20)
              .setKeyOnly(false)
              .build());
    }
    List<List<KvPair>> got = client.batchScan(options);
    Keys.same("ranges of a batch scan", got.size(), bounds.length);
    for (int i = 0; i < bounds.length; i++) {
      Map<ByteString, ByteString> want = new HashMap<>();
      model.subMap(k.key(bounds[i][0]), k.key(bounds[i][1])).entrySet().stream()
          .limit(20)
          .forEach(e -> want.put(e.getKey(), e.getValue()));
      Map<ByteString, ByteString> pairs = new HashMap<>();
      got.get(i).forEach(pair -> pairs.put(pair.getKey(), pair.getValue()));
      Keys.same("range " + i + " of a batch scan", pairs, want);
    }
    batchScanKeys(k, model, bounds);
    scansInOtherWords(k);
  }

  private void batchScanKeys(
      Keys k, NavigableMap<ByteString, ByteString> model, String[][] bounds) {
    List<Pair<ByteString, ByteString>> ranges = new ArrayList<>();
    for (String[] range : bounds) {
      ranges.add(Pair.create(k.key(range[0]), k.key(range[1])));
    }
    List<List<ByteString>> got = client.batchScanKeys(ranges, 20);
    Keys.same("ranges of a batch scan of keys", got.size(), bounds.length);
    for (int i = 0; i < bounds.length; i++) {
      List<ByteString> want =
          model.subMap(k.key(bounds[i][0]), k.key(bounds[i][1])).keySet().stream()
              .limit(20)
              .toList();
      Keys.same("range " + i + " of a batch scan of keys", got.get(i), want);
    }
  }

  /** The scans that the others are not made of. */
  private void scansInOtherWords(Keys k) {
    List<KvPair> prefix = client.scanPrefix(k.key("001"));
    Keys.same("keys of a prefix", prefix.size(), 10);
    Keys.same("first key of a prefix", prefix.get(0).getKey(), k.key("0010"));
    Keys.same("keys of a prefix, alone", client.scanPrefix(k.key("001"), true), keysOf(prefix));
    Keys.same(
        "first keys of a prefix", client.scanPrefix(k.key("001"), 3, false), prefix.subList(0, 3));
    Keys.same("to a bound", client.scan(k.key("0010"), k.key("0020")), prefix);
    Keys.same("to a bound, keys", client.scan(k.key("0010"), k.key("0020"), true), keysOf(prefix));
    Keys.same("so many", client.scan(k.key("0010"), 10), prefix);
    Keys.same("so many keys", client.scan(k.key("0010"), 10, true), keysOf(prefix));
    iterators(k, prefix);
  }

  /** The scans that ask for more while they are walked. */
  private void iterators(Keys k, List<KvPair> prefix) {
    ByteString low = k.key("0010");
    ByteString high = k.key("0020");
    List<KvPair> keys = keysOf(prefix);
    Keys.same("walk of a prefix", walk(client.scanPrefix0(k.key("001"))), prefix);
    Keys.same("walk of a prefix, keys", walk(client.scanPrefix0(k.key("001"), true)), keys);
    Keys.same(
        "walk of a prefix, 3",
        walk(client.scanPrefix0(k.key("001"), 3, false)),
        prefix.subList(0, 3));
    Keys.same(
        "walk of a prefix, 3 keys",
        walk(client.scanPrefix0(k.key("001"), 3, true)),
        keys.subList(0, 3));
    Keys.same("walk to a bound", walk(client.scan0(low, high)), prefix);
    Keys.same("walk to a bound, keys", walk(client.scan0(low, high, true)), keys);
    Keys.same("walk to a bound, 4", walk(client.scan0(low, high, 4)), prefix.subList(0, 4));
    Keys.same(
        "walk to a bound, 4 keys", walk(client.scan0(low, high, 4, true)), keys.subList(0, 4));
    Keys.same("walk to a bound, too many", walk(client.scan0(low, high, 99)), prefix);
    Keys.same("walk of so many", walk(client.scan0(low, 10)), prefix);
    Keys.same("walk of so many keys", walk(client.scan0(low, 10, true)), keys);
    Keys.same("walk of nothing", walk(client.scan0(k.key("2"), k.key("3"))), List.of());
  }

  private static List<KvPair> walk(Iterator<KvPair> pairs) {
    List<KvPair> walked = new ArrayList<>();
    pairs.forEachRemaining(walked::add);
    return walked;
  }

  private static List<KvPair> keysOf(List<KvPair> pairs) {
    return pairs.stream().map(p -> p.toBuilder().clearValue().build()).toList();
  }

  /** Files of keys are not taken: the client is told so at once, and nothing is written. */
  void ingest(Keys k) {
    k.put(k.key("a"), bytes("before"));
    List<Pair<ByteString, ByteString>> pairs =
        List.of(Pair.create(k.key("a"), bytes("1")), Pair.create(k.key("b"), bytes("2")));
    expectNotImplemented(() -> client.ingest(pairs));
    expectNotImplemented(() -> client.ingest(pairs, 1000L));
    NavigableMap<ByteString, ByteString> model = Keys.model();
    model.put(k.key("a"), bytes("before"));
    k.expectAll(model);
  }

  private static void expectNotImplemented(Runnable ingest) {
    try {
      ingest.run();
    } catch (RuntimeException e) {
      for (Throwable cause = e; cause != null; cause = cause.getCause()) {
        if (cause.toString().contains("UNIMPLEMENTED")) {
          return;
        }
      }
      throw e;
    }
    throw new CheckFailed("ingest was accepted");
  }

  void expiry(Keys k) throws InterruptedException {
    ByteString key = k.key("k");
    Keys.same("ttl of an absent key", client.getKeyTTL(key), Optional.empty());
    k.put(key, bytes("v"));
    Keys.same("ttl of a key that stays", client.getKeyTTL(key), Optional.of(0L));
    client.put(key, bytes("v"), 1000);
    expectTtl(key, "put");
    client.batchPut(Map.of(key, bytes("1"), k.key("other"), bytes("2")), 1);
    client.put(k.key("other"), bytes("3"));
    for (int i = 0; k.get(key).isPresent(); i++) {
      if (i == 1200) {
        throw new CheckFailed("the key does not expire");
      }
      Thread.sleep(50);
    }
    Keys.same("ttl of an expired key", client.getKeyTTL(key), Optional.empty());
    k.expect(k.key("other"), bytes("3"));
  }

  void timeToLive(Keys k) throws InterruptedException {
    ByteString key = k.key("k");
    expiry(k);
    Keys.same("put if absent", client.putIfAbsent(key, bytes("x"), 1000), Optional.empty());
    k.expect(key, bytes("x"));
    expectTtl(key, "put if absent");
    client.put(key, bytes("x"));
    client.compareAndSet(key, Optional.of(bytes("x")), bytes("y"), 1000);
    k.expect(key, bytes("y"));
    expectTtl(key, "compare and set");
    client.compareAndSet(key, Optional.of(bytes("y")), bytes("z"));
    Keys.same("ttl of what was set without", client.getKeyTTL(key), Optional.of(0L));
  }

  /** The key was stored with 1000 s a moment ago. */
  private void expectTtl(ByteString key, String by) {
    long left = client.getKeyTTL(key).orElse(-1L);
    if (left < 800 || left > 1000) {
      throw new CheckFailed(left + " s are left of 1000 by " + by);
    }
  }

  /** Whatever would give, or tell, a time to live is refused, and stores nothing. */
  void noTimeToLive(Keys k) {
    ByteString key = k.key("k");
    Optional<ByteString> none = Optional.empty();
    expectNoTtl("put", () -> client.put(key, bytes("v"), 10));
    expectNoTtl("batch put", () -> client.batchPut(Map.of(key, bytes("v")), 10));
    expectNoTtl("put if absent", () -> client.putIfAbsent(key, bytes("v"), 10));
    expectNoTtl("compare and set", () -> client.compareAndSet(key, none, bytes("v"), 10));
    k.expect(key, null);
    k.put(key, bytes("v"));
    expectNoTtl("ttl", () -> client.getKeyTTL(key));
    k.expect(key, bytes("v"));
  }

  private static void expectNoTtl(String what, Runnable command) {
    try {
      command.run();
    } catch (RuntimeException e) {
      return;
    }
    throw new CheckFailed(what + " with ttl was accepted");
  }
}
