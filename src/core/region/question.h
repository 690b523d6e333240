/*
 * question.h
 *	  Numbers by which a leader knows the answer to a question again.
 *
 * An answer may come when its asker has led, lost and won its region again:
 * then it tells of a time before others led, and must not be taken for one
 * that was asked in the present term.
 */
#ifndef TIKV_REGION_QUESTION_H
#define TIKV_REGION_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

/* Of the number: the region's id, then the end of the term. */
#define QUESTION_ID_BITS 48
#define QUESTION_TERM_BITS 11
#define QUESTION_BITS (QUESTION_ID_BITS + QUESTION_TERM_BITS)

static inline uint64_t
question_number(uint64_t region_id, uint64_t term)
{
	return (region_id & ((UINT64_C(1) << QUESTION_ID_BITS) - 1)) |
		(term & ((UINT64_C(1) << QUESTION_TERM_BITS) - 1)) << QUESTION_ID_BITS;
}

static inline uint64_t
question_region(uint64_t number)
{
	return number & ((UINT64_C(1) << QUESTION_ID_BITS) - 1);
}

/* The end of its term. */
static inline uint64_t
question_term(uint64_t number)
{
	return number >> QUESTION_ID_BITS &
		((UINT64_C(1) << QUESTION_TERM_BITS) - 1);
}

/* Was it asked about this region in this term? */
static inline bool
question_is_of(uint64_t number, uint64_t region_id, uint64_t term)
{
	return number == question_number(region_id, term);
}

#endif /* TIKV_REGION_QUESTION_H */
