// The least a process can do: the cost of fork, exec and exit alone.
int main(void) { return 0; }
