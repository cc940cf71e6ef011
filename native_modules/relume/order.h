/* relume: blobs, records and pages are read in place, as they are in flash
 * and NVM: in the order of bytes that SPEC names. */
#ifndef RELUME_ORDER_H
#define RELUME_ORDER_H

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "relume reads blobs and NVM in place: it is for little-endian machines"
#endif

#endif
