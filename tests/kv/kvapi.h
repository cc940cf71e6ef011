/* relume tests: the calls of kv.h one by one. */
#ifndef KVAPI_H
#define KVAPI_H

/* Runs the check of that name; fails with its promise. */
void kv_api(const char *name);

#endif
