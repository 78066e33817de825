// For tests: ZeroMQ groups of all ranks in one process, over real sockets.

import type { ProcessGroup } from '../process-group.js';
import { connectZeroMqGroup, type ZeroMqGroupOptions } from '../zeromq/connect.js';

/** Everybody's endpoints, once all have offered theirs. */
export function meetingPoint(worldSize: number): (rank: number) => (endpoint: string) => Promise<string[]> {
  const endpoints: string[] = [];
  let open = () => {};
  const complete = new Promise<void>((resolve) => {
    open = resolve;
  });
  return (rank) => async (endpoint) => {
    endpoints[rank] = endpoint;
    if (endpoints.filter(Boolean).length === worldSize) open();
    await complete;
    return endpoints;
  };
}

export function connectLocally(
  worldSize: number,
  options: Partial<ZeroMqGroupOptions> = {},
  seen: (rank: number, endpoint: string) => void = () => {},
  optionsOf: (rank: number) => Partial<ZeroMqGroupOptions> = () => ({}),
  connect: (options: ZeroMqGroupOptions) => Promise<ProcessGroup> = connectZeroMqGroup,
): Promise<ProcessGroup[]> {
  const meet = meetingPoint(worldSize);
  const exchangeOf = (rank: number) => (endpoint: string) => {
    seen(rank, endpoint);
    return meet(rank)(endpoint);
  };
  const common = { worldSize, runId: 'test', generation: 0, host: '127.0.0.1', timeoutMs: 5000, ...options };
  return Promise.all(
    Array.from({ length: worldSize }, (_, rank) => {
      return connect({ rank, exchange: exchangeOf(rank), ...common, ...optionsOf(rank) });
    }),
  );
}
