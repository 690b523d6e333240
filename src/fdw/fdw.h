/*
 * fdw.h
 *	  What the parts of the foreign data wrapper share.
 *
 * The folder's own header, laid out as contrib/postgres_fdw is: options,
 * planning, execution, modification, each in files of its own.  A foreign
 * table is a prefix of the key space; its key columns follow the prefix, the
 * others are the value (docs/fdw.md).
 */
#ifndef TIKV_FDW_FDW_H
#define TIKV_FDW_FDW_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "core/row/key_codec.h"
#include "core/row/row.h"
#include "fdw/kv.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"

/* ---- option.c ---- */

typedef enum KeyFormat
{
	KEY_FORMAT_CODED, /* order-preserving parts behind the prefix */
	KEY_FORMAT_PLAIN, /* one column: the bytes behind the prefix */
	KEY_FORMAT_WHOLE  /* one column: the key with its prefix */
} KeyFormat;

typedef enum ValueFormat
{
	VALUE_FORMAT_ROW,	/* core/row */
	VALUE_FORMAT_JSONB, /* an object, a field per column */
	VALUE_FORMAT_PLAIN	/* one column: the value's bytes or text */
} ValueFormat;

typedef struct KeyColumn
{
	AttrNumber attnum;
	KeyKind kind;
	Oid type;
	Oid collation; /* of text */
} KeyColumn;

typedef struct TableMap
{
	Oid relid;
	KvMode mode;
	Bytes prefix;
	KeyFormat key_format;
	ValueFormat value_format;
	bool null_on_error; /* on_error 'null' */
	bool updatable;
	int fetch_size;
	int batch_size;
	int n_keys;
	KeyColumn *keys;  /* in the order of the key's parts */
	AttrNumber ttl;	  /* 0: none */
	AttrNumber plain; /* the column of VALUE_FORMAT_PLAIN; 0: none */
	TupleDesc desc;	  /* the relation's */
} TableMap;

/*
 * How a foreign table lies in the key space; in CurrentMemoryContext.  Throws
 * if its options do not fit together or a type cannot be a key.
 */
extern TableMap *table_map(Relation relation);

/* Is the column part of the key?  Its place from 0, or -1. */
extern int table_map_key(const TableMap *map, AttrNumber attnum);

/* The table's keys: [prefix, its end). */
extern KvRange table_map_range(const TableMap *map);

/* ---- key_column.c ---- */

/* False if a type cannot be part of a key. */
extern bool key_kind_of_type(Oid type, KeyKind *kind);

/* A value of the column's type, or of one its operators take, as a part. */
extern void key_part_of_datum(Oid type, Datum value, KeyPart *part);

/* The whole key of a row; palloc'd.  Throws for NULLs and keys outside. */
extern Bytes key_of_values(const TableMap *map, const Datum *values,
						   const bool *nulls);

/*
 * The key columns of a key; false if it does not decode.  Wanted columns (by
 * attnum - 1) get their values, in CurrentMemoryContext.
 */
extern bool key_to_values(const TableMap *map, Bytes key, const bool *wanted,
						  Datum *values, bool *nulls);

/* ---- value_column.c ---- */

typedef struct ValueCodec ValueCodec;

/* In CurrentMemoryContext, where it lives. */
extern ValueCodec *value_codec_new(const TableMap *map);

/*
 * The value columns of a value.  Columns that do not decode are an error that
 * names the key, or NULL if the table says so.
 */
extern void value_to_columns(ValueCodec *codec, Bytes key, Bytes value,
							 const bool *wanted, Datum *values, bool *nulls);

/* Palloc'd.  `old` is the value that is replaced, empty if there is none. */
extern Bytes value_of_columns(ValueCodec *codec, Bytes old, const Datum *values,
							  const bool *nulls);

/* Of the TTL column; 0: never.  Throws for what has passed. */
extern uint64 ttl_of_column(const TableMap *map, const Datum *values,
							const bool *nulls);
extern void ttl_to_column(const TableMap *map, int64 expires_at, Datum *values,
						  bool *nulls);

/* ---- match.c ---- */

typedef enum MatchKind
{
	MATCH_EQUAL,
	MATCH_ANY, /* = ANY (array) */
	MATCH_LESS,
	MATCH_LESS_EQUAL,
	MATCH_GREATER_EQUAL,
	MATCH_GREATER,
	MATCH_START /* begins with a text */
} MatchKind;

/* One condition on a key column that bounds the keys to read. */
typedef struct Match
{
	int key; /* place of the column in the key */
	MatchKind kind;
	Expr *argument; /* what the column is compared with */
	RestrictInfo *clause;
	bool exact; /* the clause needs no further check */
} Match;

/* Which of a scan's clauses bound the keys, and how. */
typedef struct MatchedKeys
{
	List *matches;	/* of Match, in the order of the key */
	List *others;	/* RestrictInfos that are to be checked */
	bool *fixed;	/* per key column: bound by one value */
	int n_equal;	/* key columns from the first on that are bound to values */
	bool all_equal; /* they all are: keys are got, not scanned */
	bool has_any;	/* some to several values */
} MatchedKeys;

/*
 * Clauses are RestrictInfos, those of a join among them.  Lists that would make
 * too many combinations are not among the matches.
 */
extern MatchedKeys *match_keys(PlannerInfo *root, RelOptInfo *rel,
							   const TableMap *map, List *clauses);

/* How many values, or sets of them, the equalities and lists name. */
extern double match_combinations(PlannerInfo *root, const List *matches);

/* Does a clause bound a key column?  For parameterised paths. */
extern bool match_clause(PlannerInfo *root, RelOptInfo *rel,
						 const TableMap *map, RestrictInfo *clause,
						 Match *match);

/* The order of keys is the order of the column under this collation. */
extern bool key_is_ordered(const KeyColumn *column, Oid collation);

/* ---- plan.c ---- */

extern void tikvGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								  Oid foreigntableid);
extern void tikvGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
								Oid foreigntableid);
extern ForeignScan *tikvGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
									   Oid foreigntableid,
									   ForeignPath *best_path, List *tlist,
									   List *scan_clauses, Plan *outer_plan);

/* Of a base relation, in fdw_private. */
typedef struct RelPlan
{
	TableMap *map;
	Bitmapset *columns; /* to be fetched, as pull_varattnos has them */
	bool key_only;
	bool reads_ahead; /* what it reads is known without other tables, too */
	bool locks;		  /* what is read */
	double tuples;	  /* of the table by its last ANALYZE; -1: there was none */
} RelPlan;

/* Costs, in the planner's unit. */
#define COST_REQUEST 8.0
#define COST_KEY 0.05

/* fdw_private of a plan, a list of these. */
enum ScanPrivate
{
	SCAN_MATCHES, /* list of int lists: key, kind */
	SCAN_COLUMNS, /* int list: attnums that are wanted */
	SCAN_REVERSE, /* Boolean */
	SCAN_LIMIT,	  /* Integer: rows wanted, 0 unknown */
	SCAN_LOCKS,	  /* Boolean: rows are to be written, or FOR UPDATE */
	SCAN_NO_WAIT, /* Boolean: NOWAIT */
	SCAN_AHEAD	  /* Boolean: all is read before anything is written */
};

extern List *plan_matches(const MatchedKeys *matched, List **arguments);
extern List *plan_columns(const TableMap *map, Bitmapset *columns);

/* ---- self_read.c ---- */

/* Could the scan meet what its statement writes meanwhile? */
extern bool reads_itself(const PlannerInfo *root, const RelOptInfo *rel,
						 const TableMap *map);

/* Does a trigger look at what an UPDATE or DELETE has written? */
extern bool triggers_look_behind(const TriggerDesc *triggers, CmdType command);

/* ---- bounds.c ---- */

typedef struct Bounds Bounds;

/* The matches of a plan with their arguments, ready to be evaluated. */
extern Bounds *bounds_new(const TableMap *map, List *matches, List *arguments,
						  PlanState *parent);

/*
 * Evaluate the arguments: the conditions name keys, or ranges, from then on.
 * What they are is in CurrentMemoryContext, until the next time.
 */
extern void bounds_evaluate(Bounds *bounds, ExprContext *context, bool reverse);

/* Do the conditions name whole keys?  Then those, else ranges, come. */
extern bool bounds_are_keys(const Bounds *bounds);

/* How many there are; PG_UINT64_MAX: as many, or more. */
extern uint64 bounds_count(const Bounds *bounds);

/*
 * The next ones, in order or in reverse, each once; in CurrentMemoryContext.
 * Ranges are disjoint; 0 or false at the end.
 */
extern int bounds_next_keys(Bounds *bounds, Bytes *keys, int max);
extern bool bounds_next_range(Bounds *bounds, KvRange *range);

/* ---- scan.c ---- */

extern void tikvBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *tikvIterateForeignScan(ForeignScanState *node);
extern void tikvReScanForeignScan(ForeignScanState *node);
extern void tikvEndForeignScan(ForeignScanState *node);

/* A statement begins to write: its scans that read ahead do so now. */
extern void scans_read_ahead(const EState *estate);

/* What a scan did, for EXPLAIN; NULL before it began. */
extern const KvCounters *scan_counters(ForeignScanState *node);

/* Put a pair into a virtual row. */
extern bool pair_to_row(const TableMap *map, ValueCodec *codec, Bytes key,
						Bytes value, int64 expires_at, const bool *wanted,
						bool wants_value, Datum *values, bool *nulls);

/* The same without the columns of the key, which are left as they are. */
extern void rest_to_row(const TableMap *map, ValueCodec *codec, Bytes key,
						Bytes value, int64 expires_at, const bool *wanted,
						bool wants_value, Datum *values, bool *nulls);

/* ---- modify.c ---- */

extern void tikvAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
										RangeTblEntry *target_rte,
										Relation target_relation);
extern List *tikvPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
								   Index resultRelation, int subplan_index);
extern void tikvBeginForeignModify(ModifyTableState *mtstate,
								   ResultRelInfo *rinfo, List *fdw_private,
								   int subplan_index, int eflags);
extern TupleTableSlot *tikvExecForeignInsert(EState *estate,
											 ResultRelInfo *rinfo,
											 TupleTableSlot *slot,
											 TupleTableSlot *plan_slot);
extern TupleTableSlot **tikvExecForeignBatchInsert(EState *estate,
												   ResultRelInfo *rinfo,
												   TupleTableSlot **slots,
												   TupleTableSlot **plan_slots,
												   int *n_slots);
extern int tikvGetForeignModifyBatchSize(ResultRelInfo *rinfo);
extern TupleTableSlot *tikvExecForeignUpdate(EState *estate,
											 ResultRelInfo *rinfo,
											 TupleTableSlot *slot,
											 TupleTableSlot *plan_slot);
extern TupleTableSlot *tikvExecForeignDelete(EState *estate,
											 ResultRelInfo *rinfo,
											 TupleTableSlot *slot,
											 TupleTableSlot *plan_slot);
extern void tikvEndForeignModify(EState *estate, ResultRelInfo *rinfo);
extern void tikvBeginForeignInsert(ModifyTableState *mtstate,
								   ResultRelInfo *rinfo);
extern int tikvIsForeignRelUpdatable(Relation rel);
extern const KvCounters *modify_counters(const ResultRelInfo *rinfo);

/* ---- truncate.c, analyze.c, import.c, explain.c ---- */

extern void tikvExecForeignTruncate(List *rels, DropBehavior behavior,
									bool restart_seqs);
extern bool tikvAnalyzeForeignTable(Relation relation,
									AcquireSampleRowsFunc *func,
									BlockNumber *totalpages);
extern List *tikvImportForeignSchema(ImportForeignSchemaStmt *stmt,
									 Oid serverOid);
extern void tikvExplainForeignScan(ForeignScanState *node,
								   struct ExplainState *es);
extern void tikvExplainForeignModify(ModifyTableState *mtstate,
									 ResultRelInfo *rinfo, List *fdw_private,
									 int subplan_index,
									 struct ExplainState *es);
extern void explain_counters(const KvCounters *counters,
							 struct ExplainState *es);

/* ---- lookup_join.c ---- */

/* Joins that get the inner keys in batches; called once per process. */
extern void lookup_join_install(void);

#endif /* TIKV_FDW_FDW_H */
