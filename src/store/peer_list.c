/*
 * peer_list.c
 *	  Which peers there is something to do for.
 *
 * A store may have ten thousand regions of which a few are busy, so nothing that
 * happens every turn, tick or second may look at all of them.  A peer is in a
 * list when it has something of that kind to be done, and knows its place, so
 * that it is taken out without a search.
 */
#include "postgres.h"

#include "core/base/check.h"
#include "store/store.h"
#include "utils/memutils.h"

void
peer_list_add(Peer *peer, PeerListKind kind)
{
	Store *store = peer->store;
	PeerList *list = &store->lists[kind];

	if (peer->places[kind] > 0)
		return;
	if (list->n == list->room)
	{
		int room = Max(list->room * 2, 8);
		Size size = (Size) room * sizeof(Peer *);

		list->peers = list->peers == NULL ?
			MemoryContextAlloc(store->context, size) :
			repalloc(list->peers, size);
		list->room = room;
	}
	list->peers[list->n++] = peer;
	peer->places[kind] = list->n;
}

/* The last one takes its place. */
void
peer_list_remove(Peer *peer, PeerListKind kind)
{
	PeerList *list = &peer->store->lists[kind];
	int place = peer->places[kind];

	if (place == 0)
		return;
	CHECK(list->peers[place - 1] == peer);
	list->n--;
	list->peers[place - 1] = list->peers[list->n];
	list->peers[place - 1]->places[kind] = place;
	peer->places[kind] = 0;
}

void
peer_list_remove_all(Peer *peer)
{
	for (int kind = 0; kind < PEER_LISTS; kind++)
		peer_list_remove(peer, (PeerListKind) kind);
}

void
peer_touch(Peer *peer)
{
	peer->touched = true;
	peer_list_add(peer, PEERS_TOUCHED);
}

void
peer_tell(Peer *peer)
{
	peer_list_add(peer, PEERS_NEWS);
	peer_list_add(peer, PEERS_SHOWN);
}
