// process groups: collectives over ZeroMQ and in memory.
export {};
