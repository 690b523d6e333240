/*
 * first_region.h
 *	  Which store makes the cluster's first region, and who gives up its own.
 *
 * A store that finds no first region in the cluster prepares one, saves it, and
 * asks the Placement Driver to begin with it.  Two may prepare one each; the
 * Placement Driver takes one of them, and the other store must forget its own,
 * which holds all keys as well.  Source: tikv/tikv src/server/raft_server.rs,
 * bootstrap_cluster: what is prepared is compared with the region of the first
 * key.
 */
#ifndef TIKV_REGION_FIRST_REGION_H
#define TIKV_REGION_FIRST_REGION_H

#include "core/region/region.h"

/* raftstore-and-pd 1: where every new region's log begins. */
#define FIRST_LOG_INDEX 5
#define FIRST_LOG_TERM 5

typedef enum FirstRegionStep
{
	FIRST_REGION_SETTLED, /* nothing is to be done */
	FIRST_REGION_COMPARE, /* is the prepared one the cluster's? */
	FIRST_REGION_WAIT,	  /* another node makes it */
	FIRST_REGION_PREPARE, /* make and save one, then: */
	FIRST_REGION_ASK	  /* let it be the cluster's */
} FirstRegionStep;

/* What a store that starts knows. */
typedef struct FirstRegionView
{
	bool bootstrapped; /* says the Placement Driver */
	bool joins;		   /* it was told to join a cluster, and founds none */
	int n_regions;	   /* of which it has a peer */
	bool prepared;	   /* the only one was prepared and never led */
} FirstRegionView;

extern FirstRegionStep first_region_step(const FirstRegionView *view);

/*
 * Is it a first region that its store has made and never led?  Then it holds
 * nothing: leading raises the term, and every write the index.
 */
extern bool first_region_is_prepared(const Region *region, uint64_t store_id,
									 uint64_t term, uint64_t applied_index);

#endif /* TIKV_REGION_FIRST_REGION_H */
