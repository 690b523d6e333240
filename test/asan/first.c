/*
 * first.c
 *	  The runtime of ASan, at work before any other library begins.
 *
 * A preloaded runtime is initialised last.  Libraries of the server allocate
 * before, some under a lock of the C library, which the runtime then leaves
 * locked.  This one is linked to be initialised before all others.
 */
extern void __asan_init(void);

__attribute__((constructor)) static void
begin(void)
{
	__asan_init();
}
