// Weights, differences and lists in words, and the same facts for `--json`.
import { PUBLISHED_MODELS, type Weights, type WeightsDifference } from '@slip/weights';
import { formatBytes } from './progress.js';

/** Facts for machines; tensors only on demand. */
export function weightsFacts(weights: Weights, withTensors: boolean): Record<string, unknown> {
  const { path, container, format, model, epoch, step, bestAcc1, args, notes } = weights;
  const bytes = [...weights.tensors, ...(weights.moments ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0);
  return {
    path,
    container,
    format,
    model,
    epoch: epoch ?? null,
    step: step ?? null,
    bestAcc1: bestAcc1 ?? null,
    optimizer: weights.moments !== undefined,
    tensors: weights.tensors.length,
    bytes,
    args: args ?? null,
    notes,
    ...(withTensors ? { entries: weights.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })) } : {}),
  };
}

const CONTAINERS: Readonly<Record<Weights['container'], string>> = {
  checkpoint: 'checkpoint folder',
  safetensors: 'safetensors file',
  torch: 'PyTorch file',
  torchscript: 'TorchScript archive',
};

export function describeWeights(weights: Weights, withTensors: boolean): string {
  const { model, tensors, moments } = weights;
  const { vision, text, ssl } = model;
  const bytes = [...tensors, ...(moments ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const rows: [string, string][] = [
    ['file', `${CONTAINERS[weights.container]} in the names of ${FORMATS[weights.format]}, ${formatBytes(bytes)}`],
    [
      'model',
      `${model.name ?? model.family ?? 'vision tower alone'}, ${model.parameters.toLocaleString('en')} parameters in ${tensors.length} tensors`,
    ],
    ['vision', describeTower(vision)],
  ];
  if (text !== undefined) {
    rows.push([
      'text',
      `width ${text.width}, depth ${text.depth}, ${text.heads ?? 'unknown number of'} heads, ${text.vocabSize} words, context ${text.contextLength}, shared space ${model.embedDim}`,
    ]);
  }
  if (ssl !== undefined) rows.push(['ssl head', `hidden ${ssl.mlpDim}, output ${ssl.embDim}`]);
  const facts = [
    ...(weights.epoch === undefined ? [] : [`epoch ${weights.epoch}`]),
    ...(weights.step === undefined ? [] : [`step ${weights.step}`]),
    ...(weights.bestAcc1 === undefined ? [] : [`best zero-shot top-1 ${weights.bestAcc1.toFixed(2)} %`]),
    moments === undefined ? 'no optimizer state' : 'with optimizer state',
  ];
  rows.push(['training', facts.join(', ')]);
  for (const note of weights.notes) rows.push(['note', note]);
  const lines = rows.map(([title, value]) => `  ${title.padEnd(9)} ${value}`);
  if (withTensors)
    lines.push(...tensors.map(({ name, dtype, shape }) => `  ${dtype.padEnd(5)} [${shape.join(', ')}] ${name}`));
  return `${weights.path}\n${lines.join('\n')}\n`;
}

function describeTower(vision: Weights['model']['vision']): string {
  const { width, imageSize } = vision;
  const heads = `${vision.heads ?? 'unknown number of'} heads`;
  if (vision.kind === 'resnet')
    return `ResNet of width ${width}, blocks ${vision.layers.join(', ')}, ${heads}, pictures of ${imageSize}`;
  const oddities = [
    ...(vision.preNorm ? ['norm before the first block'] : []),
    ...(vision.patchBias ? [] : ['no patch bias']),
    ...(vision.activation === 'gelu' ? [] : ['QuickGELU']),
    ...(vision.normEps === 1e-6 ? [] : [`epsilon ${vision.normEps}`]),
  ];
  return (
    `width ${width}, depth ${vision.depth}, ${heads}, patches of ${vision.patchSize}, ` +
    `pictures of ${imageSize}${oddities.length > 0 ? `; ${oddities.join(', ')}` : ''}`
  );
}

const FORMATS: Readonly<Record<Weights['format'], string>> = {
  slip: 'this program',
  original: 'the original',
  timm: 'timm',
  'openai-clip': "OpenAI's CLIP",
  'openai-clip-resnet': "OpenAI's CLIP with a ResNet, which are this program's too",
  'hugging-face-clip': "Hugging Face's CLIP",
  'open-clip-timm': 'open_clip with a timm tower',
};

export function describeDifference(difference: WeightsDifference, limit: number): string {
  const { onlyInFirst, onlyInSecond, otherShape, values, equal } = difference;
  const lines = [`${equal} tensors are equal, ${values.length} differ`];
  const list = (title: string, names: readonly string[]): void => {
    if (names.length > 0)
      lines.push(`${title} (${names.length}): ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''}`);
  };
  list('only in the first', onlyInFirst);
  list('only in the second', onlyInSecond);
  list('other shapes', otherShape);
  for (const { name, largest, differing, elements } of values.slice(0, limit)) {
    lines.push(`  ${largest.toExponential(2).padStart(9)}  ${differing} of ${elements}  ${name}`);
  }
  if (values.length > limit) lines.push(`  and ${values.length - limit} more; --limit shows them`);
  return `${lines.join('\n')}\n`;
}

export function describePublished(): string {
  const head = ['name', 'model', 'data', 'epochs', '0-shot', 'linear', 'fine-tuned'];
  const rows = PUBLISHED_MODELS.map(({ name, model, dataset, epochs, zeroShot, linear, finetuned }) => [
    name,
    model,
    dataset,
    String(epochs),
    zeroShot?.toFixed(1) ?? '-',
    linear.toFixed(1),
    finetuned.toFixed(1),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column < 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd();
  return (
    `${[head, ...rows].map(line).join('\n')}\n\n` +
    'Percent top-1 on ImageNet-1K, as the authors state. Use a name with --pretrained; addresses: slip-checkpoint published --json\n'
  );
}
