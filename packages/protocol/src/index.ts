// The control-plane wire: messages, codec, versions, limits.
export {
  clipText,
  type DecodeResult,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  MAX_TEXT_LENGTH,
  PROTOCOL_VERSION,
} from './codec.js';
export type {
  Abort,
  AgentHello,
  ControlMessage,
  Failure,
  Finished,
  ForwardSignal,
  Heartbeat,
  MessageBodies,
  MessageKind,
  NodeAssignment,
  Outcome,
  PeerTable,
  Reject,
  Shutdown,
  StartGeneration,
  StopRequest,
  Welcome,
  WorkerBeat,
  WorkerError,
  WorkerExited,
  WorkerHello,
  WorkerJoin,
} from './messages.js';
export { SilenceWatch } from './silence-watch.js';
export { beatLine, parseWorkerLine, progressLine, type WorkerLine } from './worker-pipe.js';
