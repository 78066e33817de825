// Process groups: collectives between ranks over ZeroMQ, in memory, and for a world of one. Typed arrays, not tensors.

export { shardLengths } from './collectives.js';
export { createMemoryGroups } from './memory-wire.js';
export { CHUNK_ELEMENTS } from './mesh.js';
export { type Algorithm, chooseAlgorithm } from './mesh-collectives.js';
export type { FlightRecord, MemoryKind, ProcessGroup, Traffic } from './process-group.js';
export { createSoloGroup } from './solo-group.js';
export { connectThreadGroup } from './thread/thread-group.js';
export { sumTree, type WireType } from './vector/kernels.js';
export { addAndProject, expandAndSubtract, type MatrixShape, projectBack } from './vector/matrix-kernels.js';
export { WINDOW_FRAMES } from './wire.js';
export { connectZeroMqGroup, type Transport, type ZeroMqGroupOptions } from './zeromq/connect.js';
export type { CurveKeys } from './zeromq/wire-options.js';
