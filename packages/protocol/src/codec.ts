// Control messages to bytes and back, with version and size checks. Owns no sockets and never throws on what a peer sent.
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, invariant } from '@slip/core';
import protobuf from 'protobufjs';
import type { ControlMessage, MessageKind } from './messages.js';

/** Rises when an older peer would misunderstand a newer one. */
export const PROTOCOL_VERSION = 1;

/** Upper bound of one encoded message: a peer table of thousands of ranks fits, a memory bomb does not. */
export const MAX_MESSAGE_BYTES = 1 << 20;

/** Upper bound of one string, in UTF-16 units; longer texts (error messages, log lines) are cut by `clipText`. */
export const MAX_TEXT_LENGTH = 16_384;

export type DecodeResult =
  | { ok: true; message: ControlMessage; launchId: string }
  | { ok: false; problem: 'malformed'; detail: string }
  | { ok: false; problem: 'version'; version: number };

const schemaFile = fileURLToPath(new URL('../../../proto/slip/v1/control.proto', import.meta.url));
const Envelope = new protobuf.Root().loadSync(schemaFile).lookupType('slip.v1.Envelope');

/**
 * @param launchId of the launch the sender belongs to; empty before it is known
 * @throws SlipError `internal` when the message is larger than MAX_MESSAGE_BYTES or has a field of the wrong type
 */
export function encodeMessage(message: ControlMessage, launchId: string): Buffer {
  const { kind, ...body } = message;
  const envelope = { version: PROTOCOL_VERSION, launchId, [kind]: body };
  const complaint = Envelope.verify(envelope);
  invariant(complaint === null, `control message ${kind} does not fit its schema: ${complaint}`);
  const bytes = Envelope.encode(Envelope.create(envelope)).finish();
  invariant(bytes.length <= MAX_MESSAGE_BYTES, `control message ${kind} has ${bytes.length} bytes`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Decodes one frame of an unknown sender. Messages of another protocol version are reported with that version. */
export function decodeMessage(bytes: Uint8Array): DecodeResult {
  if (bytes.length > MAX_MESSAGE_BYTES) return malformed(`${bytes.length} bytes, more than ${MAX_MESSAGE_BYTES}`);
  try {
    const envelope = Envelope.toObject(Envelope.decode(bytes), { defaults: true, arrays: true, oneofs: true });
    const kind: unknown = envelope.body;
    // A rejection is understood across versions: it is how peers tell each other that theirs differ.
    if (envelope.version !== PROTOCOL_VERSION && kind !== 'reject')
      return { ok: false, problem: 'version', version: Number(envelope.version) };
    if (typeof kind !== 'string') return malformed('no message inside');
    const body = withoutPresenceMarks(envelope[kind]);
    const complaint = checkValues(body, kind) ?? checkMeaning(kind as MessageKind, body);
    if (complaint !== undefined) return malformed(complaint);
    // The schema fixed the shape, the two checks the values: this is where bytes become a typed message.
    return { ok: true, message: { kind, ...body } as ControlMessage, launchId: String(envelope.launchId) };
  } catch (error) {
    return malformed(error instanceof Error ? error.message : String(error));
  }
}

/** Cuts a text so that it fits into a message; says how much is missing. */
export function clipText(text: string, length = 4096): string {
  if (text.length <= length) return text;
  // A cut between the halves of a surrogate pair would leave a character that UTF-8 cannot carry.
  const end = /[\uD800-\uDBFF]/.test(text[length - 1] ?? '') ? length - 1 : length;
  return `${text.slice(0, end)}... (${text.length - end} more characters)`;
}

type Fields = Record<string, unknown>;

function malformed(detail: string): DecodeResult {
  return { ok: false, problem: 'malformed', detail };
}

/** protobufjs marks the presence of a proto3 `optional` field `x` by a virtual field `_x`; drops these, deeply. */
function withoutPresenceMarks(value: unknown): Fields {
  const kept: Fields = {};
  for (const [name, field] of Object.entries(value as Fields)) {
    if (name.startsWith('_')) continue;
    if (Array.isArray(field))
      kept[name] = field.map((item) => (isFields(item) ? withoutPresenceMarks(item) : (item as unknown)));
    else kept[name] = isFields(field) ? withoutPresenceMarks(field) : field;
  }
  return kept;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkValues(value: unknown, where: string): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return `${where} is not finite`;
  if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH) return `${where} has ${value.length} characters`;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, field] of Object.entries(value)) {
    const complaint = checkValues(field, `${where}.${name}`);
    if (complaint !== undefined) return complaint;
  }
  return undefined;
}

/** What the schema language cannot say. */
function checkMeaning(kind: MessageKind, body: Fields): string | undefined {
  switch (kind) {
    case 'failure':
      return isFields(body.error) ? checkCode(body.error.code) : 'failure without error';
    case 'workerExited':
      return isFields(body.error) ? checkCode(body.error.code) : undefined;
    case 'reject':
      return checkCode(body.code);
    case 'finished':
      return body.outcome === 'completed' || body.outcome === 'stopped' ? undefined : `outcome ${body.outcome}`;
    default:
      return undefined;
  }
}

function checkCode(code: unknown): string | undefined {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) ? undefined : `unknown error code ${code}`;
}
