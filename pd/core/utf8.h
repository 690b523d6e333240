/*
 * utf8.h
 *	  Are these bytes text?
 *
 * What clients name (barriers, stores, labels) is stored as text and goes back
 * to other clients in string fields, whose readers refuse anything else.
 */
#ifndef TIKV_PD_CORE_UTF8_H
#define TIKV_PD_CORE_UTF8_H

#include "core/base/bytes.h"

/*
 * Well-formed UTF-8 as RFC 3629 has it: no surrogates, nothing overlong or
 * above U+10FFFF; and no zero byte, which text in Postgres cannot hold.
 */
extern bool utf8_valid(Bytes text);

#endif /* TIKV_PD_CORE_UTF8_H */
