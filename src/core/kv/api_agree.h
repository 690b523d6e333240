/*
 * api_agree.h
 *	  All stores of a cluster have one API version: who says it, who must keep
 *	  to it.
 *
 * Each store decodes what others wrote by its own version, so one that has
 * another could read no value right.  The Placement Driver keeps what the
 * cluster's version is.  TiKV leaves it to the operator that all stores are
 * configured alike.
 */
#ifndef TIKV_KV_API_AGREE_H
#define TIKV_KV_API_AGREE_H

#include "core/kv/api_version.h"

typedef enum ApiAgreement
{
	API_AGREED,	 /* the store may serve */
	API_SAY,	 /* once the cluster's version is this store's */
	API_LATER,	 /* the cluster has not begun: ask again when it has */
	API_WAIT,	 /* others have the data, and have not said what it is */
	API_DISAGREE /* the others have another one */
} ApiAgreement;

/* What a store that starts knows. */
typedef struct ApiView
{
	bool bootstrapped; /* the cluster; its first store is known then */
	const char *said;  /* of the cluster, a name; NULL: nobody has said it */
	ApiVersion ours;
	bool others;  /* the cluster has other stores */
	bool regions; /* the store has some, and not only one that it prepared */
} ApiView;

extern ApiAgreement api_agree(const ApiView *view);

/* The version of this name (api_name); false: none has it. */
extern bool api_of_name(const char *name, ApiVersion *api);

#endif /* TIKV_KV_API_AGREE_H */
