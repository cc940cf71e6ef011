/* relume: the version of the C, by which Python tells that it is of another
 * release. The same text as VERSION of firmware/relume. */
#ifndef RELUME_VERSION_H
#define RELUME_VERSION_H

#define RL_VERSION "0.1.0"

#endif
