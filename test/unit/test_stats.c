/*
 * test_stats.c
 *	  Histograms' buckets, Prometheus's text, and the slow log's line.
 */
#include <math.h>
#include <stdlib.h>

#include "core/stats/exposition.h"
#include "core/stats/histogram.h"
#include "core/stats/names.h"
#include "core/stats/slow_log.h"
#include "unit.h"

static Arena arena;

/* ---- buckets ---- */

static void
test_buckets(void)
{
	bool fits = true;

	EQ_U64(histogram_bucket(0, 50), 0, "nothing is in the first bucket");
	EQ_U64(histogram_bucket(50, 50), 0, "so is what is as large as the unit");
	EQ_U64(histogram_bucket(51, 50), 1, "one more is in the second");
	EQ_U64(histogram_bucket(100, 50), 1, "up to twice the unit");
	EQ_U64(histogram_bucket(101, 50), 2, "and no further");
	EQ_U64(histogram_bucket(UINT64_MAX, 1), HISTOGRAM_BOUNDS,
		   "the largest is beyond all bounds");
	EQ_U64(histogram_bound(0, 50), 50, "the first bound is the unit");
	for (int i = 0; i < HISTOGRAM_BOUNDS; i++)
		for (uint64_t unit = 1; unit < 1000; unit += 7)
		{
			uint64_t bound = histogram_bound(i, unit);

			fits = fits && histogram_bucket(bound, unit) == i &&
				histogram_bucket(bound + 1, unit) == i + 1;
		}
	OK(fits, "a bound belongs to its bucket, one more to the next");
}

/* ---- text ---- */

static const char *
text_of(Exposition *out)
{
	Bytes text = exposition_text(out);

	return arena_printf(&arena, "%.*s", (int) text.len,
						(const char *) text.data);
}

static void
test_text(void)
{
	static const MetricFamily plain = {"calls_total",
									   "Calls.\nAll \\ of \"them\"",
									   METRIC_COUNTER};
	static const MetricFamily size = {"size", "Size.", METRIC_HISTOGRAM};
	MetricSample sample = {.family = &plain, .suffix = "", .value = 3};
	Exposition out;
	MetricSink sink;

	exposition_init(&out, &arena);
	sink = exposition_sink(&out);
	EQ_U64(exposition_text(&out).len, 0, "nothing taken, nothing written");
	sink.take(sink.arg, &sample);
	sample.n_labels = 2;
	sample.labels[0] = (MetricLabel){"type", "a\\b\"c\nd"};
	sample.labels[1] = (MetricLabel){"worker", "store"};
	sample.value = 0.25;
	sink.take(sink.arg, &sample);
	sample.family = &size;
	sample.suffix = "_bucket";
	sample.n_labels = 1;
	sample.labels[0] = (MetricLabel){"le", "+Inf"};
	sink.take(sink.arg, &sample);
	EQ_STR(text_of(&out),
		   "# HELP calls_total Calls.\\nAll \\\\ of \"them\"\n"
		   "# TYPE calls_total counter\n"
		   "calls_total 3\n"
		   "calls_total{type=\"a\\\\b\\\"c\\nd\",worker=\"store\"} 0.25\n"
		   "# HELP size Size.\n"
		   "# TYPE size histogram\n"
		   "size_bucket{le=\"+Inf\"} 0.25\n",
		   "heads, labels and values");
}

static void
test_growth(void)
{
	static const MetricFamily family = {"n", "N.", METRIC_GAUGE};
	MetricSample sample = {.family = &family, .suffix = ""};
	Exposition out;
	MetricSink sink;
	Bytes text;
	size_t lines = 0;

	exposition_init(&out, &arena);
	sink = exposition_sink(&out);
	for (int i = 0; i < 20000; i++)
	{
		sample.value = i;
		sink.take(sink.arg, &sample);
	}
	text = exposition_text(&out);
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	EQ_U64(lines, 20002, "no line is lost where the buffer grows");
	OK(text.len > 8 && memcmp(text.data + text.len - 8, "n 19999\n", 8) == 0,
	   "the last one is whole");
}

static void
test_number(double value, const char *want)
{
	char got[METRIC_NUMBER_SIZE];

	metric_number(value, got);
	EQ_STR(got, want, want);
}

static void
test_numbers(void)
{
	char got[METRIC_NUMBER_SIZE];
	bool same = true;

	test_number(0, "0");
	test_number(5e-5, "5e-05");
	test_number(0.1, "0.1");
	test_number(104.8576, "104.8576");
	test_number(9007199254740992.0, "9007199254740992");
	test_number(INFINITY, "+Inf");
	test_number(-INFINITY, "-Inf");
	test_number(NAN, "NaN");
	for (int i = 1; i < 1000; i++)
	{
		double value = 1.0 / i + i * 1e9;

		metric_number(value, got);
		same = same &&
			memcmp(&(double){strtod(got, NULL)}, &value, sizeof(value)) == 0;
	}
	OK(same, "every number can be read back");
}

/* ---- names ---- */

static void
test_name(const char *path, const char *want)
{
	char got[64];

	metric_rpc_name(path, got, sizeof(got));
	EQ_STR(got, want, want);
}

static void
test_names(void)
{
	char small[8];

	test_name("/tikvpb.Tikv/RawGet", "raw_get");
	test_name("/tikvpb.Tikv/RawGetKeyTTL", "raw_get_key_ttl");
	test_name("/tikvpb.Tikv/KVPessimisticRollback", "kv_pessimistic_rollback");
	test_name("/tikvpb.Tikv/GetStoreSafeTS", "get_store_safe_ts");
	test_name("/tikvpb.Tikv/MvccGetByStartTs", "mvcc_get_by_start_ts");
	test_name("empty", "empty");
	test_name("", "");
	metric_rpc_name("/tikvpb.Tikv/BatchCommands", small, sizeof(small));
	EQ_STR(small, "batch_c", "a name that does not fit is cut");
}

/* ---- the slow log ---- */

static const char *
slow(const SlowRequest *request)
{
	static char text[SLOW_LOG_TEXT_SIZE];

	slow_log_text(request, text);
	return text;
}

static void
test_slow_steps(void)
{
	SlowRequest request = {.method = "RawPut",
						   .result = "ok",
						   .region_id = 2,
						   .has_key = true,
						   .key = bytes_cstr("abc"),
						   .received_us = 1000,
						   .begun_us = 3000,
						   .decided_us = 3500,
						   .durable_us = 1003500,
						   .answered_us = 1003600};

	EQ_STR(slow(&request),
		   "slow request RawPut: 1002.600 ms, ok, queue 2.000 ms, decide "
		   "0.500 ms, commit 1000.000 ms, reply 0.100 ms, region 2, key "
		   "\"abc\"",
		   "a write with all its steps");
	request.durable_us = 0;
	request.has_key = false;
	EQ_STR(slow(&request),
		   "slow request RawPut: 1002.600 ms, ok, queue 2.000 ms, decide "
		   "0.500 ms, reply 1000.100 ms, region 2",
		   "one that changed nothing has no commit");
	request.decided_us = 0;
	EQ_STR(slow(&request),
		   "slow request RawPut: 1002.600 ms, ok, queue 2.000 ms, run 1000.600 "
		   "ms, region 2",
		   "it is answered while it is decided");
	request.decided_us = 3500;
	request.waited_us = 1500;
	EQ_U64(slow_log_took_us(&request), 1001100, "a lock wait does not count");
	EQ_STR(slow(&request),
		   "slow request RawPut: 1002.600 ms, ok, lock wait 1.500 ms, queue "
		   "0.500 ms, decide 0.500 ms, reply 1000.100 ms, region 2",
		   "it is told apart from the queue");
	request.begun_us = request.decided_us = request.waited_us = 0;
	request.region_id = 0;
	request.result = "server_is_busy";
	EQ_STR(slow(&request),
		   "slow request RawPut: 1002.600 ms, server_is_busy, unbegun "
		   "1002.600 ms",
		   "one that was refused before it began");
}

static void
test_slow_keys(void)
{
	uint8_t bad[] = {'a', 0, '\n', '"', '\\', 0x7f, 0xff, 'z'};
	uint8_t long_key[SLOW_LOG_KEY_BYTES + 1];
	SlowRequest request = {.method = "RawGet", .result = "ok", .has_key = true};
	const char *text;

	request.key = bytes_make(bad, sizeof(bad));
	EQ_STR(slow(&request),
		   "slow request RawGet: 0.000 ms, ok, unbegun 0.000 ms, key "
		   "\"a\\x00\\x0a\\x22\\x5c\\x7f\\xffz\"",
		   "no byte of a key breaks the line");
	memset(long_key, 0xff, sizeof(long_key));
	request.key = bytes_make(long_key, sizeof(long_key) - 1);
	OK(strstr(slow(&request), "bytes") == NULL, "a key that just fits");
	request.key = bytes_make(long_key, sizeof(long_key));
	text = slow(&request);
	OK(strstr(text, "\\xff\"... (33 bytes)") != NULL,
	   "of a longer one the length is told");
	request.key = bytes_empty();
	EQ_STR(slow(&request),
		   "slow request RawGet: 0.000 ms, ok, unbegun 0.000 ms, key \"\"",
		   "an empty key");
	request.method = "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-"
					 "A-method-whose-name-is-far-too-long-to-be-true-";
	EQ_U64(strlen(slow(&request)), SLOW_LOG_TEXT_SIZE - 1,
		   "too long a line is cut");
}

int
main(void)
{
	arena_init(&arena);
	test_buckets();
	test_text();
	test_growth();
	test_numbers();
	test_names();
	test_slow_steps();
	test_slow_keys();
	arena_free(&arena);
	return unit_done();
}
