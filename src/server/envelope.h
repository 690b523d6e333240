/*
 * envelope.h
 *	  A BatchCommandsRequest taken apart without building a message.
 */
#ifndef TIKV_SERVER_ENVELOPE_H
#define TIKV_SERVER_ENVELOPE_H

#include "service/service.h"

/* Memory is kept and reused from message to message. */
typedef struct Envelope
{
	Bytes *commands; /* borrowed from the message */
	size_t n_commands;
	size_t cap_commands;
	uint64_t *ids; /* as many as commands */
	size_t n_ids;
	size_t cap_ids;
} Envelope;

/* False if the bytes are not a BatchCommandsRequest, or an absurd one. */
extern bool envelope_parse(Envelope *e, Bytes message);

/*
 * Which member of a command's oneof is set (the last one counts), and its
 * bytes.  *method stays NULL for members that are not built.  False if the
 * bytes are not protobuf.
 */
extern bool envelope_parse_command(Bytes bytes, const ServiceMethod **method,
								   Bytes *body);

#endif /* TIKV_SERVER_ENVELOPE_H */
