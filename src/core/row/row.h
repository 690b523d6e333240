/*
 * row.h
 *	  The columns of a row that are no key, as one value.
 *
 * A version byte, then the columns that are not NULL in the order of their
 * numbers.  A column that a row does not have is NULL, so columns can be added
 * without touching what is stored; one that the reader does not know is passed
 * over, so they can be dropped.  What the bytes of a column mean is the
 * caller's business; its kind says how they are delimited.
 *
 *		row    = 0x01 field*
 *		field  = varint(column << 3 | kind) payload
 *		number = zig-zag varint; fixed = 8 bytes; bytes = varint length, bytes
 */
#ifndef TIKV_ROW_ROW_H
#define TIKV_ROW_ROW_H

#include "core/base/status.h"
#include "core/codec/number.h"

typedef enum RowKind
{
	ROW_NUMBER = 0, /* an integer */
	ROW_FIXED = 1,	/* 64 bits, such as a float8's */
	ROW_BYTES = 2,	/* bytes as they are */
	ROW_TEXT = 3,	/* bytes too: the text form of a type without another */
	ROW_DATE = 4,	/* a number: days */
	ROW_TIME = 5	/* a number: microseconds */
} RowKind;

typedef struct RowField
{
	uint32_t column; /* 1 .. 65535, ascending */
	RowKind kind;
	int64_t number; /* all others */
	Bytes bytes;	/* ROW_BYTES, ROW_TEXT */
} RowField;

/* Exact length, and the bytes; returns behind them. */
extern size_t row_len(const RowField *fields, size_t n);
extern uint8_t *row_put(uint8_t *p, const RowField *fields, size_t n);

typedef struct RowReader
{
	NumberReader bytes;
	uint32_t last_column;
} RowReader;

/* STATUS_INVALID if the bytes are no row of a version known here. */
extern Status row_begin(Bytes row, RowReader *reader) MUST_CHECK;

/* STATUS_NOT_FOUND at the end; bytes are borrowed from the row. */
extern Status row_next(RowReader *reader, RowField *out) MUST_CHECK;

#endif /* TIKV_ROW_ROW_H */
