// Tensors to a safetensors file that is mapped: all are copied first, so that their owner has them back soon, and the copy is hashed.
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { invariant } from '@slip/core';
import { byteLengthOf, type StreamedTensor } from './named-tensor.js';
import { encodeHeader } from './safetensors-header.js';
import type { WrittenFile } from './safetensors-write.js';

/** What is hashed at once: whoever asks for something in between waits for a millisecond. */
const PIECE_BYTES = 1 << 20;

/** Bytes of the file that these tensors make. */
export function fileBytes(tensors: readonly StreamedTensor[], metadata: Readonly<Record<string, string>>): number {
  return tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), encodeHeader(tensors, metadata).bytes.length);
}

/** @param file of as many bytes as `fileBytes` says */
export async function copyTensors(
  file: Uint8Array,
  tensors: readonly StreamedTensor[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const { bytes: header, ordered } = encodeHeader(tensors, metadata);
  file.set(header);
  let at = header.length;
  for (const tensor of ordered as readonly StreamedTensor[]) {
    const end = at + tensor.byteLength;
    for await (const piece of tensor.chunks()) {
      file.set(piece, at);
      at += piece.length;
    }
    invariant(at === end, `${tensor.name} gave ${end - at} bytes less than it has`);
  }
}

export async function hashFile(file: Uint8Array): Promise<WrittenFile> {
  const hash = createHash('sha256');
  for (let begin = 0; begin < file.length; begin += PIECE_BYTES) {
    hash.update(file.subarray(begin, begin + PIECE_BYTES));
    await setImmediate();
  }
  return { sizeBytes: file.length, sha256: hash.digest('hex') };
}
