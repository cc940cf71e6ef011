/* relume: what this port has, for the binding. */
#define RL_PORT_FILE 1
#define RL_FILE_SIZE 262144 /* of the file that stands for an FRAM */
