// Finds the pictures of a folder that fit a text best, and says which of two labels fits each of them.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { nearestRows, SlipModel, unitRows } from '@slip/worker/encode';

const [checkpoint, folder, text] = process.argv.slice(2);
const model = await SlipModel.load(checkpoint, { batchSize: 64, visionHeads: 2, textHeads: 2 });
try {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.png')).sort();
  const pictures = files.map((name) => path.join(folder, name));
  const images: Float32Array = await model.encodeImages(pictures);
  const query: Float32Array = await model.encodeTexts([text]);
  const matrix = { rows: files.length, width: model.width, values: unitRows(images, files.length) };
  for (const { row, score } of nearestRows(unitRows(query, 1), matrix, 10)) {
    const [[best]] = await model.classify([pictures[row]], ['dog', 'cat'], 'a photo of a {}');
    console.log(`${score.toFixed(4)} ${files[row]}: ${best.label}, ${(100 * best.probability).toFixed(1)} %`);
  }
} finally {
  await model.close();
}
