/*
 * relay.c
 *	  The envelope of a request that a SQL session wants sent to another store.
 *
 * Both ends are processes of one server, so numbers travel as they are.
 */
#include "service/relay.h"

#include <string.h>

typedef struct Head
{
	int32_t method;
	uint32_t timeout_ms;
	uint32_t address_len;
} Head;

size_t
relay_envelope_size(const RelayEnvelope *envelope)
{
	return sizeof(Head) + envelope->address.len + envelope->message.len;
}

/* Returns where the message begins. */
uint8_t *
relay_envelope_put(const RelayEnvelope *envelope, uint8_t *out)
{
	Head head = {envelope->method, envelope->timeout_ms,
				 (uint32_t) envelope->address.len};

	memcpy(out, &head, sizeof(head));
	out += sizeof(head);
	if (envelope->address.len > 0)
		memcpy(out, envelope->address.data, envelope->address.len);
	out += envelope->address.len;
	if (envelope->message.data != NULL && envelope->message.len > 0)
		memcpy(out, envelope->message.data, envelope->message.len);
	return out;
}

bool
relay_envelope_get(Bytes bytes, RelayEnvelope *envelope)
{
	Head head;

	if (bytes.len < sizeof(head))
		return false;
	memcpy(&head, bytes.data, sizeof(head));
	if (head.address_len == 0 || head.address_len > RELAY_ADDRESS_MAX ||
		head.address_len > bytes.len - sizeof(head))
		return false;
	envelope->method = head.method;
	envelope->timeout_ms = head.timeout_ms;
	envelope->address = bytes_make(bytes.data + sizeof(head), head.address_len);
	envelope->message = bytes_make(bytes.data + sizeof(head) + head.address_len,
								   bytes.len - sizeof(head) - head.address_len);
	return true;
}
