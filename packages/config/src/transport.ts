// How tensors go from rank to rank. Pure.

/** `shared` on one machine in memory; `tcp` and `zmq` nowhere so. */
export const TRANSPORTS = ['shared', 'tcp', 'zmq'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export const TRANSPORT_HELP =
  'ranks of a machine use memory that they share (between machines ZeroMQ, or tcp alone where nothing is encrypted), or ' +
  'all tensors go through tcp alone, or over ZeroMQ';
