package compat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import org.tikv.kvproto.Kvrpcpb.KvPair;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;

/** One check's view of the store: the keys below a prefix of its own. */
final class Keys {
  static final int SCAN_LIMIT = 10240;

  private final RawKVClient client;
  private final ByteString prefix;
  final ByteString end;

  Keys(RawKVClient client, String name) {
    this.client = client;
    String text = "compat/java/" + System.nanoTime() + "/" + name;
    prefix = ByteString.copyFromUtf8(text + "/");
    end = ByteString.copyFromUtf8(text + "0"); // the byte after a slash
  }

  static NavigableMap<ByteString, ByteString> model() {
    return new TreeMap<>(ByteString.unsignedLexicographicalComparator());
  }

  /** A key of ours; each char of the suffix is one byte. */
  ByteString key(String suffix) {
    return prefix.concat(bytes(suffix));
  }

  ByteString prefix() {
    return prefix;
  }

  static ByteString bytes(String text) {
    return ByteString.copyFrom(text, StandardCharsets.ISO_8859_1);
  }

  void put(ByteString key, ByteString value) {
    client.put(key, value);
  }

  void delete(ByteString key) {
    client.delete(key);
  }

  Optional<ByteString> get(ByteString key) {
    return client.get(key);
  }

  void batchPut(Map<ByteString, ByteString> pairs) {
    client.batchPut(pairs);
  }

  /** The client sorts the list that it is given. */
  void batchDelete(List<ByteString> keys) {
    client.batchDelete(new ArrayList<>(keys));
  }

  /** Reads one key; null means absent. */
  void expect(ByteString key, ByteString want) {
    same("get " + brief(key), client.get(key).orElse(null), want);
  }

  /** The pairs that are present, whatever their order. */
  void expectBatch(List<ByteString> keys, Map<ByteString, ByteString> want) {
    Map<ByteString, ByteString> got = new HashMap<>();
    for (KvPair pair : client.batchGet(new ArrayList<>(keys))) {
      if (got.put(pair.getKey(), pair.getValue()) != null) {
        throw new CheckFailed("batch get: " + brief(pair.getKey()) + " came twice");
      }
    }
    if (!got.equals(new HashMap<>(want))) {
      throw new CheckFailed("batch get: " + got.size() + " pairs differ from " + want.size());
    }
  }

  /** Scans both values and keys alone and compares with the model. */
  void expectScan(
      NavigableMap<ByteString, ByteString> model, ByteString low, ByteString high, int limit) {
    List<ByteString> keys = new ArrayList<>();
    List<ByteString> values = new ArrayList<>();
    List<ByteString> nothing = new ArrayList<>();
    model.subMap(low, true, high, false).entrySet().stream()
        .limit(limit)
        .forEach(
            e -> {
              keys.add(e.getKey());
              values.add(e.getValue());
              nothing.add(ByteString.EMPTY);
            });
    String what = "scan from " + brief(low) + " to " + brief(high) + " limit " + limit;
    List<KvPair> got = client.scan(low, high, limit);
    sameList(what + ": keys", got.stream().map(KvPair::getKey).toList(), keys);
    sameList(what + ": values", got.stream().map(KvPair::getValue).toList(), values);
    got = client.scan(low, high, limit, true);
    sameList(what + ", keys alone", got.stream().map(KvPair::getKey).toList(), keys);
    sameList(what + ", keys alone: values", got.stream().map(KvPair::getValue).toList(), nothing);
  }

  void expectAll(NavigableMap<ByteString, ByteString> model) {
    expectScan(model, prefix, end, SCAN_LIMIT);
  }

  /** Stores all pairs, reads each, and scans. */
  void storeAndScan(NavigableMap<ByteString, ByteString> model) {
    model.forEach(this::put);
    model.forEach(this::expect);
    expectAll(model);
  }

  /** Deletes what the check has left, and makes sure that nothing remains. */
  void removeAll() {
    while (true) {
      List<ByteString> left =
          client.scan(prefix, end, SCAN_LIMIT, true).stream().map(KvPair::getKey).toList();
      if (left.isEmpty()) {
        return;
      }
      batchDelete(left);
    }
  }

  static void same(String what, Object got, Object want) {
    if (got == null ? want != null : !got.equals(want)) {
      throw new CheckFailed(what + ": got " + brief(got) + ", want " + brief(want));
    }
  }

  private static void sameList(String what, List<ByteString> got, List<ByteString> want) {
    same(what + ": number", got.size(), want.size());
    for (int i = 0; i < got.size(); i++) {
      same(what + ": element " + i, got.get(i), want.get(i));
    }
  }

  private static String brief(Object value) {
    if (value instanceof ByteString bytes) {
      return bytes.size() + " bytes " + hex(bytes.substring(Math.max(0, bytes.size() - 24)));
    }
    return String.valueOf(value);
  }

  private static String hex(ByteString bytes) {
    StringBuilder text = new StringBuilder("…");
    for (byte b : bytes.toByteArray()) {
      text.append(String.format("%02x", b));
    }
    return text.toString();
  }
}
