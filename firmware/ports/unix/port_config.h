/* relume: what this port has, for the binding. */
#define RL_PORT_FILE 1
