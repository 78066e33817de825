// TensorBoard's Event messages for scalars, encoded by hand as protobuf, and the TFRecord frame around each. Pure.
// Messages: tensorflow/core/util/event.proto and framework/summary.proto (field numbers below).
import { maskedCrc32c } from './crc32c.js';

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;

/** First record of every event file. */
export function versionEvent(wallTime: number): Uint8Array {
  return event(wallTime, 0, bytesField(3, Buffer.from('brain.Event:2')));
}

/** Tells readers to forget what earlier files of the run say of `firstStep` and later. */
export function restartEvent(wallTime: number, firstStep: number): Uint8Array {
  const sessionLog = Buffer.concat([tag(1, WIRE_VARINT), varint(1)]);
  return event(wallTime, firstStep, bytesField(7, sessionLog));
}

/** @param wallTime seconds since 1970 */
export function scalarsEvent(wallTime: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const values = Object.entries(scalars).map(([name, value]) => {
    const simpleValue = Buffer.alloc(4);
    simpleValue.writeFloatLE(value);
    return bytesField(1, Buffer.concat([bytesField(1, Buffer.from(name)), tag(2, WIRE_32), simpleValue]));
  });
  return event(wallTime, step, bytesField(5, Buffer.concat(values)));
}

/** Length, its checksum, the bytes, their checksum. */
export function tfRecord(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(message.length + 16);
  frame.writeBigUInt64LE(BigInt(message.length), 0);
  frame.writeUInt32LE(maskedCrc32c(frame.subarray(0, 8)), 8);
  frame.set(message, 12);
  frame.writeUInt32LE(maskedCrc32c(message), 12 + message.length);
  return frame;
}

function event(wallTime: number, step: number, what: Uint8Array): Uint8Array {
  const time = Buffer.alloc(8);
  time.writeDoubleLE(wallTime);
  return Buffer.concat([tag(1, WIRE_64), time, tag(2, WIRE_VARINT), varint(step), what]);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([tag(field, WIRE_BYTES), varint(bytes.length), bytes]);
}

function tag(field: number, wire: number): Uint8Array {
  return varint(field * 8 + wire);
}

/** @param value non-negative; beyond 32 bits too, hence no shifts */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.of(...bytes, rest);
}
