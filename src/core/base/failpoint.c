/*
 * failpoint.c
 *	  Named places where a test may stop, delay, fail or kill a process.
 */
#include "core/base/failpoint.h"

#ifdef TIKV_FAILPOINTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FAILPOINTS 64
#define MAX_NAME 64

typedef enum FailAction
{
	FAIL_COUNT,
	FAIL_ERROR,
	FAIL_CRASH,
	FAIL_STOP,
	FAIL_DELAY
} FailAction;

typedef struct Failpoint
{
	char name[MAX_NAME];
	FailAction action;
	long delay_ms;
	bool once; /* in all lives of all processes */
	long at;   /* 0: every time; else at this one only */
	long hits;
} Failpoint;

bool failpoints_active;
long failpoint_clock_s;

static Failpoint points[MAX_FAILPOINTS];
static int n_points;
static FailpointHost the_host;

void
failpoints_host(const FailpointHost *host)
{
	the_host = *host;
}

static bool
parse_action(const char *text, Failpoint *out)
{
	static const char once[] = "once:";
	char *end;

	out->once = strncmp(text, once, sizeof(once) - 1) == 0;
	if (out->once)
		text += sizeof(once) - 1;
	out->at = 0;
	if (*text >= '0' && *text <= '9')
	{
		out->at = strtol(text, &end, 10);
		if (*end != '*' || out->at <= 0)
			return false;
		text = end + 1;
	}
	if (strcmp(text, "count") == 0)
		out->action = FAIL_COUNT;
	else if (strcmp(text, "error") == 0)
		out->action = FAIL_ERROR;
	else if (strcmp(text, "crash") == 0)
		out->action = FAIL_CRASH;
	else if (strcmp(text, "stop") == 0)
		out->action = FAIL_STOP;
	else if (strncmp(text, "delay(", 6) == 0)
	{
		out->action = FAIL_DELAY;
		out->delay_ms = strtol(text + 6, &end, 10);
		return strcmp(end, ")") == 0 && out->delay_ms >= 0;
	}
	else
		return false;
	return true;
}

static bool
parse_clock(const char *text)
{
	char *end;

	failpoint_clock_s = strtol(text, &end, 10);
	return end != text && *end == '\0';
}

/* "name=action"; "off" sets nothing. */
static bool
parse_one(char *text)
{
	char *equals = strchr(text, '=');
	Failpoint *point = &points[n_points];

	if (equals == NULL || equals == text || equals - text >= MAX_NAME ||
		n_points == MAX_FAILPOINTS)
		return false;
	*equals = '\0';
	memset(point, 0, sizeof(*point));
	snprintf(point->name, sizeof(point->name), "%s", text);
	if (strcmp(equals + 1, "off") == 0)
		return true;
	if (strcmp(point->name, "clock") == 0)
		return parse_clock(equals + 1);
	if (!parse_action(equals + 1, point))
		return false;
	n_points++;
	return true;
}

bool
failpoints_set(const char *text)
{
	char copy[4096];
	char *next = copy;
	char *one;
	bool ok = strlen(text) < sizeof(copy);

	n_points = 0;
	failpoint_clock_s = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	while (ok && (one = strsep(&next, ";")) != NULL)
		if (*one != '\0')
			ok = parse_one(one);
	if (!ok)
	{
		n_points = 0;
		failpoint_clock_s = 0;
	}
	failpoints_active = n_points > 0;
	return ok;
}

static void
sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&ts, &ts) != 0)
		continue;
}

static void
note(const char *name, const char *what)
{
	if (the_host.note != NULL)
		the_host.note(name, what);
}

/* Is it its turn, and nobody's before? */
static bool
takes_place(const Failpoint *point, const char *name)
{
	if (point->action == FAIL_COUNT ||
		(point->at != 0 && point->hits != point->at))
		return false;
	return !point->once || the_host.claim == NULL || the_host.claim(name);
}

/* True if it is an error. */
static bool
take_place(Failpoint *point, const char *name)
{
	point->hits++;
	note(name, NULL);
	if (!takes_place(point, name))
		return false;
	switch (point->action)
	{
		case FAIL_COUNT:
			break;
		case FAIL_ERROR:
			note(name, "error");
			return true;
		case FAIL_CRASH:
			note(name, "crash");
			(void) raise(SIGKILL);
			break;
		case FAIL_STOP:
			note(name, "stop");
			(void) raise(SIGSTOP);
			break;
		case FAIL_DELAY:
			note(name, "delay");
			sleep_ms(point->delay_ms);
			break;
	}
	return false;
}

static bool
is_meant(const Failpoint *point, const char *name)
{
	return strcmp(point->name, name) == 0 || strcmp(point->name, "*") == 0;
}

bool
failpoint_hit(const char *name)
{
	for (int i = 0; i < n_points; i++)
		if (is_meant(&points[i], name) && take_place(&points[i], name))
			return true;
	return false;
}

#else

/* A translation unit holds something. */
extern const char failpoints_are_not_built;
const char failpoints_are_not_built = 0;

#endif
