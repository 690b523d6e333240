/*
 * status.h
 *	  The `tikv status` process: what its files share.
 *
 * Each page is a function that fills an answer.  Pages read shared memory and
 * settings; only one of them reads a table.
 */
#ifndef TIKV_STATUS_STATUS_H
#define TIKV_STATUS_STATUS_H

#include "postgres.h"

#include "core/base/arena.h"
#include "pd/core/json.h"
#include "pd/core/url.h"

#define HTTP_OK 200
#define HTTP_BAD_REQUEST 400
#define HTTP_NOT_FOUND 404
#define HTTP_INTERNAL 500
#define HTTP_NOT_IMPLEMENTED 501
#define HTTP_UNAVAILABLE 503

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"

/* One request while it is answered. */
typedef struct StatusPage
{
	Arena *arena;
	Url url;
	int status;
	const char *type; /* static */
	Bytes body;
} StatusPage;

/* The answer is this line of text. */
extern void page_say(StatusPage *page, int status, const char *text);

/* pages.c: answer what the URL asks for. */
extern void page_serve(StatusPage *page, const char *method, const char *uri);

/* config.c, region.c */
extern void page_config(StatusPage *page);
extern void page_region(StatusPage *page);

#endif /* TIKV_STATUS_STATUS_H */
