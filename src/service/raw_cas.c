/*
 * raw_cas.c
 *	  RawCompareAndSwap: its message, and its answer.
 */
#include "core/cmd/command.h"
#include "core/kv/expiry.h"
#include "service/raw_internal.h"

/*
 * TiKV does not look at the length of this command's key; here every key that
 * is stored keeps to the bound.
 */
bool
raw_decode_cas(RawDecoder *decoder)
{
	const Kvrpcpb__RawCASRequest *message =
		(const void *) decoder->request->message;
	RawCommand *command = decoder->command;
	RawCas *cas = arena_zalloc(decoder->request->arena, sizeof(*cas));

	if (!raw_check_cf(decoder, message->cf))
		return false;
	cas->previous_not_exist = message->previous_not_exist;
	cas->previous_value = raw_from_wire(message->previous_value);
	cas->swap.kind = message->delete_ ? RAW_DELETE : RAW_PUT;
	cas->swap.cf = command->cf;
	cas->swap.key = raw_from_wire(message->key);
	cas->swap.value = raw_from_wire(message->value);
	cas->swap.expires_at =
		expiry_of_ttl(message->ttl, decoder->limits->now_s());
	command->cas = cas;
	command->atomic = true;
	command->keys = &cas->swap.key;
	command->n_keys = 1;
	command->write_bytes = cmd_raw_room(&cas->swap, decoder->limits->api);
	return raw_check_key_mode(decoder, cas->swap.key) &&
		raw_check_key_size(decoder, cas->swap.key) &&
		raw_check_ttl(decoder, message->ttl);
}

/* What was there before is told in any case. */
void
raw_cas_done(Request *request, const RawCasResult *result)
{
	Kvrpcpb__RawCASResponse reply = KVRPCPB__RAW_CASRESPONSE__INIT;

	reply.succeed = result->succeed;
	reply.previous_not_exist = !result->existed;
	reply.previous_value = raw_to_wire(result->previous);
	request->done(request, &reply.base);
}
