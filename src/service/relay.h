/*
 * relay.h
 *	  The envelope of a request that a SQL session wants sent to another store.
 *
 * A session has no gRPC: it leaves the packed request with a worker that holds
 * channels, over the bus, and says where it is to go.
 */
#ifndef TIKV_SERVICE_RELAY_H
#define TIKV_SERVICE_RELAY_H

#include "service/service.h"

typedef struct RelayEnvelope
{
	int method; /* a MethodId that has a path */
	uint32_t timeout_ms;
	Bytes address; /* "host:port" */
	Bytes message; /* the packed request */
} RelayEnvelope;

/* No address is longer. */
#define RELAY_ADDRESS_MAX 512

extern size_t relay_envelope_size(const RelayEnvelope *envelope);

/* Exactly as many bytes as that; the message need not be there yet. */
extern uint8_t *relay_envelope_put(const RelayEnvelope *envelope, uint8_t *out);

/* Borrows; false if the bytes are no envelope. */
extern bool relay_envelope_get(Bytes bytes, RelayEnvelope *envelope);

#endif /* TIKV_SERVICE_RELAY_H */
