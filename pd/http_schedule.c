/*
 * http_schedule.c
 *	  HTTP: operators, schedulers and checkers.
 *
 * Operators that people ask for run beside those of the checkers, which make
 * new ones for what does not fit the rule; as in tikv/pd, a peer added by hand
 * is taken away again.
 */
#include "postgres.h"

#include "bus/board.h"
#include "pd/core/cut.h"
#include "pd/http_ask.h"

/* ---- what can be paused, in tikv/pd's words ---- */

#define NOTHING (-1) /* there is no such thing here, so it rests already */

typedef struct Pausable
{
	const char *name;
	int part; /* a SchedulePart */
} Pausable;

static const Pausable schedulers[] = {{"balance-leader-scheduler",
									   SCHEDULE_LEADERS},
									  {"balance-region-scheduler",
									   SCHEDULE_PEERS}};

/* tikv/pd pkg/schedule/checker/checker_controller.go, GetPauseController. */
static const Pausable checkers[] = {{"replica", SCHEDULE_REPLICAS},
									{"rule", SCHEDULE_REPLICAS},
									{"joint-state", SCHEDULE_JOINT},
									{"learner", NOTHING},
									{"split", NOTHING},
									{"merge", NOTHING},
									{"affinity", NOTHING}};

static const Pausable *
find_pausable(HttpAsk *ask, const Pausable *list, int n)
{
	const char *name = url_text(&ask->url, 4);

	for (int i = 0; name != NULL && i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

static bool
is_paused(const HttpAsk *ask, const Pausable *what)
{
	return what->part != NOTHING &&
		schedule_is_paused(&ask->pd->schedule, (SchedulePart) what->part,
						   board_now_us());
}

/* For `delay` seconds; 0 ends it.  False was answered. */
static bool
pause_part(HttpAsk *ask, const Pausable *what, uint64_t *delay)
{
	const JsonValue *object = http_object(ask);

	if (object == NULL)
		return false;
	if (!json_get_uint(object, "delay", delay))
	{
		http_say(ask, HTTP_BAD_REQUEST, "missing pause time");
		return false;
	}
	if (what->part != NOTHING)
		schedule_pause(&ask->pd->schedule, (SchedulePart) what->part,
					   board_now_us() +
						   (int64) Min(*delay, PG_INT32_MAX) * 1000000);
	return true;
}

/* All, or with ?status=paused those; none is ever disabled. */
static void
get_schedulers(HttpAsk *ask)
{
	const char *status = url_query(&ask->url, "status");
	bool paused = status != NULL && strcmp(status, "paused") == 0;
	bool disabled = status != NULL && strcmp(status, "disabled") == 0;

	json_open(&ask->json, NULL, '[');
	for (int i = 0; i < (int) lengthof(schedulers); i++)
		if (!disabled && (!paused || is_paused(ask, &schedulers[i])))
			json_string(&ask->json, NULL, schedulers[i].name);
	json_close(&ask->json, ']');
}

static void
pause_scheduler(HttpAsk *ask)
{
	const Pausable *what =
		find_pausable(ask, schedulers, (int) lengthof(schedulers));
	uint64_t delay;

	if (what == NULL)
		http_say(ask, HTTP_NOT_FOUND, "scheduler not found");
	else if (pause_part(ask, what, &delay))
		http_say(ask, HTTP_OK, "Pause or resume the scheduler successfully.");
}

static void
refuse_scheduler(HttpAsk *ask)
{
	http_say(ask, HTTP_NOT_IMPLEMENTED,
			 "schedulers can be paused, but not added or removed");
}

/* ---- operators ---- */

static void
get_operators(HttpAsk *ask)
{
	const Schedule *schedule = &ask->pd->schedule;

	json_open(&ask->json, NULL, '[');
	for (size_t i = 0; i < schedule->n_running; i++)
		json_string(&ask->json, NULL,
					operator_text(schedule->running[i], ask->arena));
	json_close(&ask->json, ']');
}

static void
get_records(HttpAsk *ask)
{
	static const char *const ends[] = {"SUCCESS", "TIMEOUT", "CANCEL",
									   "REPLACE", "RUNNING"};
	const Schedule *schedule = &ask->pd->schedule;
	size_t first = schedule->n_records > SCHEDULE_RECORDS ?
		schedule->n_records - SCHEDULE_RECORDS :
		0;

	json_open(&ask->json, NULL, '[');
	for (size_t i = first; i < schedule->n_records; i++)
	{
		const Operator *op = &schedule->records[i % SCHEDULE_RECORDS].op;

		json_string(&ask->json, NULL,
					arena_printf(ask->arena, "%s finished with %s",
								 operator_text(op, ask->arena),
								 ends[op->status]));
	}
	json_close(&ask->json, ']');
}

static const Operator *
operator_of_url(HttpAsk *ask)
{
	uint64_t id;
	const Operator *op;

	if (!http_id(ask, 4, &id))
		return NULL;
	op = schedule_find(&ask->pd->schedule, id);
	if (op == NULL)
		http_say(ask, HTTP_NOT_FOUND, "operator not found");
	return op;
}

static void
get_operator(HttpAsk *ask)
{
	const Operator *op = operator_of_url(ask);

	if (op != NULL)
		json_string(&ask->json, NULL, operator_text(op, ask->arena));
}

static void
delete_operator(HttpAsk *ask)
{
	const Operator *op = operator_of_url(ask);

	if (op == NULL)
		return;
	(void) schedule_cancel(&ask->pd->schedule, op->region_id, board_now_us());
	http_say(ask, HTTP_OK, "The pending operator is canceled.");
}

/* ---- operators that people ask for ---- */

/* The region's peers as they are, as a plan to be changed. */
static RegionPlan
present(const PdRegion *region)
{
	RegionPlan plan = {0};

	for (int i = 0; i < region->meta.n_peers; i++)
		plan.peers[plan.n++] = (PlannedPeer){region->meta.peers[i].store_id,
											 region->meta.peers[i].role};
	return plan;
}

static bool
plan_remove(RegionPlan *plan, uint64_t store_id)
{
	for (int i = 0; i < plan->n; i++)
		if (plan->peers[i].store_id == store_id)
		{
			plan->peers[i] = plan->peers[--plan->n];
			return true;
		}
	return false;
}

static bool
plan_add(HttpAsk *ask, RegionPlan *plan, uint64_t store_id, PeerRole role)
{
	const PdStore *store = cluster_store(&ask->pd->state.cluster, store_id);

	if (store == NULL || store->state != STORE_UP ||
		plan->n == REGION_MAX_PEERS)
		return false;
	for (int i = 0; i < plan->n; i++)
		if (plan->peers[i].store_id == store_id)
			return false;
	plan->peers[plan->n++] = (PlannedPeer){store_id, role};
	return true;
}

/* What the request makes of the peers; false: it cannot be so. */
static bool
plan_request(HttpAsk *ask, const char *name, const JsonValue *object,
			 RegionPlan *plan)
{
	uint64_t store = 0;
	uint64_t to = 0;

	(void) json_get_uint(object, "to_store_id", &to);
	if (!json_get_uint(object, "store_id", &store) &&
		!json_get_uint(object, "from_store_id", &store))
		return false;
	if (strcmp(name, "add-peer") == 0)
		return plan_add(ask, plan, store, PEER_VOTER);
	if (strcmp(name, "add-learner") == 0)
		return plan_add(ask, plan, store, PEER_LEARNER);
	if (strcmp(name, "remove-peer") == 0)
		return plan_remove(plan, store);
	if (strcmp(name, "transfer-peer") == 0)
		return plan_remove(plan, store) && plan_add(ask, plan, to, PEER_VOTER);
	return false;
}

static bool
make_operator(HttpAsk *ask, const JsonValue *object, const PdRegion *region,
			  Operator *op)
{
	const char *name = json_get_text(object, "name");
	RegionPlan plan = present(region);
	uint64_t last = 0;
	uint64_t to;
	int n_new;

	if (name == NULL || region_is_joint(&region->meta))
		return false;
	if (strcmp(name, "transfer-leader") == 0)
		return json_get_uint(object, "to_store_id", &to) &&
			operator_transfer(region, to, op);
	if (!plan_request(ask, name, object, &plan))
		return false;
	n_new = plan_new_peers(&plan, &region->meta);
	if (n_new > 0 &&
		pd_state_take_ids(&ask->pd->state, (uint32) n_new, &last,
						  &ask->changes) != STATUS_OK)
		return false;
	return operator_plan(&plan, region, &ask->pd->schedule.stores,
						 last - (uint64_t) n_new + 1, op);
}

/* At given keys: where else a region could be split is not known here. */
static void
post_split(HttpAsk *ask, const JsonValue *object, const PdRegion *region)
{
	const char *policy = json_get_text(object, "policy");
	Bytes *keys;
	Order *orders;
	size_t n;

	if (policy == NULL || pg_strcasecmp(policy, "usekey") != 0)
	{
		http_say(ask, HTTP_BAD_REQUEST, "regions are split at given keys only");
		return;
	}
	if (!http_hex_keys(ask, json_get(object, "keys"), &keys, &n))
		return;
	n = cut_sort(keys, n);
	n = cut_orders(&ask->pd->state.cluster.regions, keys, n, ask->arena,
				   &orders);
	if (n != 1 || orders[0].region_id != region->meta.id)
	{
		http_say(ask, HTTP_BAD_REQUEST, "the keys do not split the region");
		return;
	}
	orders_send(ask->pd, &orders[0]);
	http_say(ask, HTTP_OK, "The operator is created.");
}

static void
post_scatter(HttpAsk *ask, const JsonValue *object, const PdRegion *region)
{
	uint64_t id = region->meta.id;
	RegionTaskWish wish = {.scatter = true, .ids = &id, .n_ids = 1};

	wish.single = true;
	wish.group = json_get_text(object, "group");
	ask->later = region_task_begin(ask->pd, ask->to, &wish);
	if (!ask->later)
		http_say(ask, HTTP_INTERNAL, "too many regions are to be scattered");
}

/* False: it is about the region's peers. */
static bool
post_other(HttpAsk *ask, const JsonValue *object, const PdRegion *region)
{
	const char *name = json_get_text(object, "name");

	if (name != NULL && strcmp(name, "split-region") == 0)
		post_split(ask, object, region);
	else if (name != NULL && strcmp(name, "scatter-region") == 0)
		post_scatter(ask, object, region);
	else
		return false;
	return true;
}

static void
post_operator(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	const PdRegion *region;
	uint64_t id;
	Operator op;

	if (object == NULL)
		return;
	if (!json_get_uint(object, "region_id", &id))
	{
		http_say(ask, HTTP_BAD_REQUEST, "missing region id");
		return;
	}
	region = region_tree_get(&ask->pd->state.cluster.regions, id);
	if (region == NULL || region->leader.id == 0)
		http_say(ask, HTTP_NOT_FOUND, "region not found");
	else if (post_other(ask, object, region))
		return;
	else if (!make_operator(ask, object, region, &op))
		http_say(ask, HTTP_BAD_REQUEST,
				 "the region cannot be changed like this");
	else if (!schedule_begin(&ask->pd->schedule, &op, "admin-operator",
							 OPERATOR_REPLICA, board_now_us()))
		http_say(ask, HTTP_INTERNAL,
				 "the region is being changed by another operator");
	else
	{
		ask->operator_of = id;
		http_say(ask, HTTP_OK, "The operator is created.");
	}
}

/* ---- checkers ---- */

static const Pausable *
checker_of_url(HttpAsk *ask)
{
	const Pausable *what =
		find_pausable(ask, checkers, (int) lengthof(checkers));

	if (what == NULL)
		http_say(ask, HTTP_NOT_FOUND, "checker not found");
	return what;
}

static void
pause_checker(HttpAsk *ask)
{
	const Pausable *what = checker_of_url(ask);
	uint64_t delay;

	if (what != NULL && pause_part(ask, what, &delay))
		http_say(ask, HTTP_OK,
				 delay == 0 ? "Resume the checker successfully." :
							  "Pause the checker successfully.");
}

static void
get_checker(HttpAsk *ask)
{
	const Pausable *what = checker_of_url(ask);

	if (what == NULL)
		return;
	json_open(&ask->json, NULL, '{');
	json_bool(&ask->json, "paused", is_paused(ask, what));
	json_close(&ask->json, '}');
}

const HttpRoute http_schedule_routes[] = {
	{"GET", "v1/schedulers", false, get_schedulers},
	{"POST", "v1/schedulers", false, refuse_scheduler},
	{"POST", "v1/schedulers/{}", false, pause_scheduler},
	{"DELETE", "v1/schedulers/{}", false, refuse_scheduler},
	{"GET", "v1/operators", false, get_operators},
	{"POST", "v1/operators", true, post_operator},
	{"GET", "v1/operators/records", false, get_records},
	{"GET", "v1/operators/{}", false, get_operator},
	{"DELETE", "v1/operators/{}", false, delete_operator},
	{"GET", "v1/checker/{}", false, get_checker},
	{"POST", "v1/checker/{}", false, pause_checker},
	{NULL, NULL, false, NULL},
};
