/*
 * test_raft_confchange.c
 *	  What conf changes make of configurations, as text in and text out.
 */
#include "core/raft/confchange.h"
#include "core/raft/quorum.h"
#include "unit.h"

#include <stdlib.h>

/* "1 2 3 (1 2) l4 n5 auto": voters, outgoing, learners, learners next */
static RaftConfState
conf_of(const char *text)
{
	RaftConfState conf = {.auto_leave = false};
	bool outgoing = false;

	for (const char *p = text; *p != '\0'; p++)
	{
		RaftIdSet *set = outgoing ? &conf.voters_outgoing : &conf.voters;

		if (*p == '(' || *p == ')')
			outgoing = *p == '(';
		else if (*p == 'a')
		{
			conf.auto_leave = true;
			break;
		}
		else if (*p == 'l')
			(void) raft_set_add(&conf.learners, (uint64_t) (*++p - '0'));
		else if (*p == 'n')
			(void) raft_set_add(&conf.learners_next, (uint64_t) (*++p - '0'));
		else if (*p != ' ')
			(void) raft_set_add(set, (uint64_t) (*p - '0'));
	}
	return conf;
}

static void
put_set(char *out, const char *before, const RaftIdSet *set)
{
	for (int i = 0; i < set->n; i++)
		sprintf(out + strlen(out), "%s%s%d", *out ? " " : "", before,
				(int) set->id[i]);
}

static const char *
text_of(const RaftConfState *conf)
{
	static char out[256];
	char outgoing[64] = "";

	out[0] = '\0';
	put_set(out, "", &conf->voters);
	put_set(outgoing, "", &conf->voters_outgoing);
	if (outgoing[0] != '\0')
		sprintf(out + strlen(out), " (%s)", outgoing);
	put_set(out, "l", &conf->learners);
	put_set(out, "n", &conf->learners_next);
	if (conf->auto_leave)
		strcat(out, " auto");
	return out;
}

/* "v4 r3 l2" */
static RaftConfChange
change_of(const char *text, RaftConfTransition transition)
{
	RaftConfChange cc = {.transition = transition};

	for (const char *p = text; *p != '\0'; p++)
	{
		RaftConfChangeSingle *c;

		if (*p == ' ')
			continue;
		c = &cc.changes[cc.n++];
		c->type = *p == 'v' ? RAFT_CONF_ADD_NODE :
			*p == 'l'		? RAFT_CONF_ADD_LEARNER :
			*p == 'r'		? RAFT_CONF_REMOVE_NODE :
							  (RaftConfChangeType) 3;
		c->id = (uint64_t) (*++p - '0');
	}
	return cc;
}

static void
check(const char *before, const char *change, RaftConfTransition transition,
	  const char *after)
{
	RaftConfState conf = conf_of(before);
	RaftConfChange cc = change_of(change, transition);
	RaftConfState out;
	Status s = raft_conf_changed(&conf, &cc, &out);
	char what[200];

	snprintf(what, sizeof(what), "%s with %s", before,
			 *change ? change : "nothing");
	if (after == NULL)
		EQ_U64(s, STATUS_INVALID, what);
	else if (s != STATUS_OK)
		OK(false, what);
	else
		EQ_STR(text_of(&out), after, what);
}

static void
test_simple(void)
{
	check("1 2 3", "v4", RAFT_CONF_AUTO, "1 2 3 4");
	check("1 2 3", "l4", RAFT_CONF_AUTO, "1 2 3 l4");
	check("1 2 3 l4", "v4", RAFT_CONF_AUTO, "1 2 3 4");
	check("1 2 3", "r3", RAFT_CONF_AUTO, "1 2");
	check("1 2 3", "l3", RAFT_CONF_AUTO, "1 2 l3");
	check("1 2 3 l4", "r4", RAFT_CONF_AUTO, "1 2 3");
	check("1 2 3", "v3", RAFT_CONF_AUTO, "1 2 3");
	check("1 2 3", "r9", RAFT_CONF_AUTO, "1 2 3");
	check("1", "r1", RAFT_CONF_AUTO, NULL);
	check("1", "l1", RAFT_CONF_AUTO, NULL);
	check("1 2 3", "v0", RAFT_CONF_AUTO, NULL);
	check("1 2 3", "x4", RAFT_CONF_AUTO, NULL);
	check("", "v1", RAFT_CONF_AUTO, NULL);
}

static void
test_joint(void)
{
	check("1 2 3", "v4 r3", RAFT_CONF_AUTO, "1 2 4 (1 2 3) auto");
	check("1 2 3", "v4 r3", RAFT_CONF_IMPLICIT, "1 2 4 (1 2 3) auto");
	check("1 2 3", "v4 r3", RAFT_CONF_EXPLICIT, "1 2 4 (1 2 3)");
	check("1 2 3", "v4", RAFT_CONF_EXPLICIT, "1 2 3 4 (1 2 3)");
	check("1 2 3", "l3 v4", RAFT_CONF_EXPLICIT, "1 2 4 (1 2 3) n3");
	check("1 2 3 l4", "v4 l1", RAFT_CONF_EXPLICIT, "2 3 4 (1 2 3) n1");
	check("1 2 3", "v4 v4", RAFT_CONF_AUTO, NULL);
	check("1 2 3", "r1 r2 r3", RAFT_CONF_AUTO, NULL);
	check("1 2 4 (1 2 3)", "v5", RAFT_CONF_AUTO, NULL);
	check("1 2 4 (1 2 3)", "v5 v6", RAFT_CONF_AUTO, NULL);
}

static void
test_leave(void)
{
	check("1 2 4 (1 2 3) auto", "", RAFT_CONF_AUTO, "1 2 4");
	check("1 2 4 (1 2 3) n3", "", RAFT_CONF_AUTO, "1 2 4 l3");
	check("1 2 4 (1 2 3) l5 n3", "", RAFT_CONF_AUTO, "1 2 4 l3 l5");
	check("1 2 3", "", RAFT_CONF_AUTO, NULL);
	check("1 2 4 (1 2 3)", "", RAFT_CONF_EXPLICIT, NULL);
}

static void
test_limits(void)
{
	RaftConfState conf = conf_of("1 2 3");
	RaftConfState out;
	RaftConfChange cc = {.n = RAFT_MAX_PEERS + 1};

	EQ_U64(raft_conf_changed(&conf, &cc, &out), STATUS_INVALID,
		   "too many changes");
	cc.n = -1;
	EQ_U64(raft_conf_changed(&conf, &cc, &out), STATUS_INVALID,
		   "fewer than none");
	cc.n = 1;
	cc.changes[0] = (RaftConfChangeSingle){RAFT_CONF_ADD_LEARNER, 100};
	for (uint64_t id = 10; conf.learners.n + 3 < RAFT_MAX_PEERS; id++)
		(void) raft_set_add(&conf.learners, id);
	EQ_U64(raft_conf_changed(&conf, &cc, &out), STATUS_INVALID,
		   "more members than a group may have");
}

static bool
valid(const char *text)
{
	RaftConfState conf = conf_of(text);

	return raft_conf_valid(&conf);
}

static void
test_valid(void)
{
	RaftConfState conf = conf_of("1 2");

	OK(valid("1 2 3"), "voters");
	OK(valid(""), "nobody: a peer that waits for its first snapshot");
	OK(valid("1 2 4 (1 2 3) n3 l5 auto"), "joint");
	OK(!valid("l1"), "learners alone");
	OK(!valid("(1 2)"), "outgoing alone");
	OK(!valid("1 2 l2"), "voter and learner");
	OK(!valid("1 2 (3 4) l3"), "outgoing voter and learner");
	OK(!valid("1 2 (2 3) n4"), "a next learner that was no voter");
	OK(!valid("1 2 (2 3) n2"), "a next learner that stays a voter");
	OK(!valid("1 2 n2"), "a next learner without a joint configuration");
	OK(!valid("1 2 auto"), "auto leave without one");
	conf.voters.id[0] = 2;
	OK(!raft_conf_valid(&conf), "a voter twice");
	conf.voters.id[0] = 9;
	conf.voters.id[1] = 3;
	raft_conf_normalize(&conf);
	EQ_STR(text_of(&conf), "3 9", "normalized");
}

int
main(void)
{
	test_simple();
	test_joint();
	test_leave();
	test_limits();
	test_valid();
	return unit_done();
}
