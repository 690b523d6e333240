/*
 * silence.c
 *	  Since when a leader has not heard its peers.
 *
 * Each leadership counts anew, as TiKV's does: whoever was silent when an
 * earlier one ended may have lived since, and been heard by others.
 */
#include "core/raft/silence.h"

static bool
is_silent(const RaftStatus *status, uint64_t id)
{
	for (int i = 0; i < status->n_peers; i++)
		if (status->peers[i].id == id)
			return !status->peers[i].recent_active;
	return false;
}

static void
note(RaftSilence *places, int n, const RaftSilence *silence)
{
	RaftSilence *free_place = NULL;

	for (int i = 0; i < n; i++)
	{
		if (places[i].id == silence->id)
			return;
		if (places[i].id == RAFT_NONE)
			free_place = &places[i];
	}
	if (free_place != NULL)
		*free_place = *silence;
}

void
raft_note_silences(RaftSilence *places, int n, const RaftStatus *status,
				   int64_t now_us)
{
	uint64_t term = status->hard_state.term;

	for (int i = 0; i < n; i++)
		if (places[i].term != term || !is_silent(status, places[i].id))
			places[i] = (RaftSilence){0};
	for (int i = 0; i < status->n_peers; i++)
		if (!status->peers[i].recent_active)
			note(places, n, &(RaftSilence){status->peers[i].id, term, now_us});
}

int64_t
raft_silent_since(const RaftSilence *places, int n, uint64_t id)
{
	for (int i = 0; i < n; i++)
		if (places[i].id == id)
			return places[i].since_us;
	return 0;
}
