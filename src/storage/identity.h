/*
 * identity.h
 *	  Which data directory on which machine this is, and whether it is the one
 *	  that the tables were last served from.
 *
 * A backup that was restored, a standby that was promoted, a folder that was
 * copied and put back: they look like a restart and are not one, since the
 * original may have gone on.  What tells them apart lies outside of what is
 * copied.
 */
#ifndef TIKV_STORAGE_IDENTITY_H
#define TIKV_STORAGE_IDENTITY_H

#include "postgres.h"

/* As stored in tikv_internal.store_meta; all zero: not known. */
typedef struct DataIdentity
{
	int64 machine;	/* a hash of /etc/machine-id; 0: there is none */
	int64 device;	/* of the data directory */
	int64 inode;	/* of the same */
	int32 timeline; /* of the WAL */
} DataIdentity;

/* Of this process's data directory.  Not during recovery. */
extern void identity_here(DataIdentity *out);

/*
 * Are the data another copy than those that were served last?  The device
 * alone says nothing: its number may change whenever the machine starts.
 */
extern bool identity_moved(const DataIdentity *stored,
						   const DataIdentity *here);

/* In which way, as a clause. */
extern void identity_describe(const DataIdentity *stored,
							  const DataIdentity *here, char *out, Size size);

#endif /* TIKV_STORAGE_IDENTITY_H */
