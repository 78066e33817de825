// What goes into encoders: pictures as they are evaluated, texts as tokens. And whole lists through them, batch by batch.
import { decodeImage, evalView, type ImageSource, Tokenizer, type Truncate } from '@slip/data';
import type { Encoder } from './encoder.js';

/** [images, 3, S, S]: short side to S, centre crop, normalised. @throws SlipError `data` naming an unreadable image */
export async function imageBatch(images: readonly (string | ImageSource)[], imageSize: number): Promise<Float32Array> {
  const out = new Float32Array(images.length * 3 * imageSize ** 2);
  await Promise.all(
    images.map(async (image, row) => {
      evalView(await decodeImage(image), { size: imageSize, out, offset: row * 3 * imageSize ** 2 });
    }),
  );
  return out;
}

/** [texts, contextLength] */
export function textBatch(texts: readonly string[], contextLength: number, truncate: Truncate): Int32Array {
  const tokenizer = Tokenizer.load();
  const tokens = new Int32Array(texts.length * contextLength);
  for (const [row, text] of texts.entries()) {
    tokens.set(tokenizer.tokenize(text, { contextLength, truncate }), row * contextLength);
  }
  return tokens;
}

/**
 * Encodes a list in batches, the next of which is made while this one is computed.
 * @param make the input of a batch
 * @param told rows that are done; what it throws ends the work
 * @returns [items, width]
 */
export async function encodeAll<T>(
  encoder: Encoder,
  items: readonly T[],
  make: (batch: readonly T[]) => Promise<Float32Array | Int32Array>,
  told: (rows: number) => void = () => undefined,
): Promise<Float32Array> {
  const { batchSize } = encoder;
  const parts: Float32Array[] = [];
  const batchAt = (start: number) => items.slice(start, start + batchSize);
  let coming = make(batchAt(0));
  for (let start = 0; start < items.length; start += batchSize) {
    const input = await coming;
    coming = make(batchAt(start + batchSize));
    // It may never be asked for; an error belongs to the turn that meets it.
    coming.catch(() => undefined);
    parts.push(await encoder.encode(input, batchAt(start).length));
    told(Math.min(items.length, start + batchSize));
  }
  return joined(parts);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
