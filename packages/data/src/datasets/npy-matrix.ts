// Matrices of float32 as .npy files: written piece by piece, read whole.
import { open } from 'node:fs/promises';
import { SlipError, writeAtomically } from '@slip/core';
import { encodeNpyHeader, readNpyHeader } from './npy-header.js';

export interface FloatMatrix {
  readonly rows: number;
  readonly width: number;
  /** [rows, width] */
  readonly values: Float32Array;
}

/** @param pieces all rows in order. The file appears when it is complete */
export async function writeNpyMatrix(
  file: string,
  shape: readonly [rows: number, width: number],
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  await writeAtomically(file, async (out) => {
    await out.write(encodeNpyHeader('<f4', shape));
    for await (const piece of pieces) await out.write(piece);
  });
}

const PIECE_BYTES = 64 << 20;

/** @throws SlipError `data` when it is missing, damaged, or no matrix of float32 */
export async function readNpyMatrix(file: string): Promise<FloatMatrix> {
  const { descr, shape, fortranOrder, dataOffset } = await readNpyHeader(file);
  const [rows, width] = shape;
  if (descr !== '<f4' || fortranOrder || shape.length !== 2) {
    throw new SlipError('data', `${file} holds ${descr} of shape (${shape}); rows of float32 are wanted`);
  }
  const values = new Float32Array(rows * width);
  const bytes = new Uint8Array(values.buffer);
  const handle = await open(file, 'r');
  try {
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await handle.read(
        bytes,
        done,
        Math.min(PIECE_BYTES, bytes.length - done),
        dataOffset + done,
      );
      if (bytesRead === 0)
        throw new SlipError('data', `${file} ends after ${done} of ${bytes.length} bytes of numbers`);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return { rows, width, values };
}
