// How other programs name the tensors of these models: one table per format. `{i}` stands for a block's number, `{w}` for
// weight or bias, `{rest}` for anything. Read from left to right (theirs to ours) or, where a format is written, back.

/** What has to happen to a tensor on the way from theirs to ours; the way back is its inverse. */
export type Change =
  /** Their Linear layer [out, in] is our matrix [in, out]. */
  | 'transpose'
  /** Ours has one or two axes of length 1 in front. */
  | 'add-axis'
  | 'add-two-axes';

export interface KeyRule {
  /** Three names: query, key and value, which ours keeps in one tensor, in this order. */
  readonly theirs: string | readonly [string, string, string];
  readonly ours: string;
  readonly change?: Change;
}

export interface KeyMap {
  readonly format: WeightsFormat;
  /** For messages. */
  readonly title: string;
  readonly rules: readonly KeyRule[];
  /** Tensors of theirs that ours has no use for, with the reason. */
  readonly ignored: readonly { readonly theirs: string; readonly why: string }[];
}

export type WeightsFormat =
  | 'slip'
  | 'original'
  | 'timm'
  | 'openai-clip'
  | 'openai-clip-resnet'
  | 'hugging-face-clip'
  | 'open-clip-timm';

const SAME_TEXT_NAMES: readonly KeyRule[] = [
  'transformer.resblocks.{i}.{rest}',
  'token_embedding.weight',
  'positional_embedding',
  'ln_final.{w}',
  'text_projection',
  'logit_scale',
].map((name) => ({ theirs: name, ours: name }));

const SLIP: KeyMap = {
  format: 'slip',
  title: 'SLIP names without prefix',
  rules: [
    { theirs: 'visual.{rest}', ours: 'visual.{rest}' },
    { theirs: 'image_projection', ours: 'image_projection' },
    { theirs: 'image_mlp.{rest}', ours: 'image_mlp.{rest}' },
    ...SAME_TEXT_NAMES,
  ],
  ignored: [],
};

const ORIGINAL: KeyMap = {
  format: 'original',
  title: "the original's state dict",
  rules: [{ theirs: 'module.{rest}', ours: '{rest}' }],
  ignored: [],
};

const TIMM: KeyMap = {
  format: 'timm',
  title: 'a timm vision transformer',
  rules: ['cls_token', 'pos_embed', 'patch_embed.proj.{w}', 'norm_pre.{w}', 'norm.{w}']
    .map((name): KeyRule => ({ theirs: name, ours: `visual.${name}` }))
    .concat(
      ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'].map((layer) => ({
        theirs: `blocks.{i}.${layer}.{w}`,
        ours: `visual.blocks.{i}.${layer}.{w}`,
      })),
    ),
  ignored: ['head.{w}', 'fc_norm.{w}', 'pre_logits.{rest}'].map((theirs) => ({
    theirs,
    why: 'a classifier, which a tower does not have',
  })),
};

const OPENAI_CLIP: KeyMap = {
  format: 'openai-clip',
  title: "OpenAI's CLIP",
  rules: [
    { theirs: 'visual.class_embedding', ours: 'visual.cls_token', change: 'add-two-axes' },
    { theirs: 'visual.positional_embedding', ours: 'visual.pos_embed', change: 'add-axis' },
    { theirs: 'visual.conv1.weight', ours: 'visual.patch_embed.proj.weight' },
    { theirs: 'visual.ln_pre.{w}', ours: 'visual.norm_pre.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.ln_1.{w}', ours: 'visual.blocks.{i}.norm1.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.attn.in_proj_{w}', ours: 'visual.blocks.{i}.attn.qkv.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.attn.out_proj.{w}', ours: 'visual.blocks.{i}.attn.proj.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.ln_2.{w}', ours: 'visual.blocks.{i}.norm2.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.mlp.c_fc.{w}', ours: 'visual.blocks.{i}.mlp.fc1.{w}' },
    { theirs: 'visual.transformer.resblocks.{i}.mlp.c_proj.{w}', ours: 'visual.blocks.{i}.mlp.fc2.{w}' },
    { theirs: 'visual.ln_post.{w}', ours: 'visual.norm.{w}' },
    { theirs: 'visual.proj', ours: 'image_projection' },
    ...SAME_TEXT_NAMES,
  ],
  ignored: ['input_resolution', 'context_length', 'vocab_size', 'attn_mask'].map((theirs) => ({
    theirs,
    why: 'a size that the other tensors tell',
  })),
};

/** With the modified ResNet, whose names are ours. */
const OPENAI_CLIP_RESNET: KeyMap = {
  format: 'openai-clip-resnet',
  title: "OpenAI's CLIP with a ResNet",
  rules: [
    ...['conv{i}.weight', 'bn{i}.{rest}', 'layer{i}.{rest}', 'attnpool.{rest}'].map((name) => ({
      theirs: `visual.${name}`,
      ours: `visual.${name}`,
    })),
    ...SAME_TEXT_NAMES,
  ],
  ignored: OPENAI_CLIP.ignored,
};

function huggingFaceBlock(theirs: string, ours: string, names: Readonly<Record<string, string>>): KeyRule[] {
  const layer = (part: string) => `${theirs}.encoder.layers.{i}.${part}.{w}`;
  return [
    {
      theirs: [layer('self_attn.q_proj'), layer('self_attn.k_proj'), layer('self_attn.v_proj')],
      ours: `${ours}.{i}.${names.qkv}`,
    },
    ...['self_attn.out_proj', 'layer_norm1', 'layer_norm2', 'mlp.fc1', 'mlp.fc2'].map((part) => ({
      theirs: layer(part),
      ours: `${ours}.{i}.${names[part]}.{w}`,
    })),
  ];
}

const HUGGING_FACE_CLIP: KeyMap = {
  format: 'hugging-face-clip',
  title: "Hugging Face's CLIPModel",
  rules: [
    { theirs: 'logit_scale', ours: 'logit_scale' },
    { theirs: 'text_projection.weight', ours: 'text_projection', change: 'transpose' },
    { theirs: 'visual_projection.weight', ours: 'image_projection', change: 'transpose' },
    { theirs: 'text_model.embeddings.token_embedding.weight', ours: 'token_embedding.weight' },
    { theirs: 'text_model.embeddings.position_embedding.weight', ours: 'positional_embedding' },
    { theirs: 'text_model.final_layer_norm.{w}', ours: 'ln_final.{w}' },
    ...huggingFaceBlock('text_model', 'transformer.resblocks', {
      qkv: 'attn.in_proj_{w}',
      'self_attn.out_proj': 'attn.out_proj',
      layer_norm1: 'ln_1',
      layer_norm2: 'ln_2',
      'mlp.fc1': 'mlp.c_fc',
      'mlp.fc2': 'mlp.c_proj',
    }),
    { theirs: 'vision_model.embeddings.class_embedding', ours: 'visual.cls_token', change: 'add-two-axes' },
    { theirs: 'vision_model.embeddings.position_embedding.weight', ours: 'visual.pos_embed', change: 'add-axis' },
    { theirs: 'vision_model.embeddings.patch_embedding.weight', ours: 'visual.patch_embed.proj.weight' },
    // Spelled like this over there.
    { theirs: 'vision_model.pre_layrnorm.{w}', ours: 'visual.norm_pre.{w}' },
    { theirs: 'vision_model.post_layernorm.{w}', ours: 'visual.norm.{w}' },
    ...huggingFaceBlock('vision_model', 'visual.blocks', {
      qkv: 'attn.qkv.{w}',
      'self_attn.out_proj': 'attn.proj',
      layer_norm1: 'norm1',
      layer_norm2: 'norm2',
      'mlp.fc1': 'mlp.fc1',
      'mlp.fc2': 'mlp.fc2',
    }),
  ],
  ignored: ['text_model', 'vision_model'].map((tower) => ({
    theirs: `${tower}.embeddings.position_ids`,
    why: 'the numbers 0, 1, 2, ...',
  })),
};

const OPEN_CLIP_TIMM: KeyMap = {
  format: 'open-clip-timm',
  title: 'open_clip with a timm tower',
  rules: [
    { theirs: 'visual.trunk.{rest}', ours: 'visual.{rest}' },
    { theirs: 'visual.head.proj.weight', ours: 'image_projection', change: 'transpose' },
    ...SAME_TEXT_NAMES,
  ],
  ignored: [{ theirs: 'attn_mask', why: 'a constant' }],
};

export const KEY_MAPS: Readonly<Record<WeightsFormat, KeyMap>> = {
  slip: SLIP,
  original: ORIGINAL,
  timm: TIMM,
  'openai-clip': OPENAI_CLIP,
  'openai-clip-resnet': OPENAI_CLIP_RESNET,
  'hugging-face-clip': HUGGING_FACE_CLIP,
  'open-clip-timm': OPEN_CLIP_TIMM,
};

/** The first name that is there tells the format. Order matters: later ones would also match earlier formats. */
const SIGNS: readonly (readonly [name: RegExp, format: WeightsFormat])[] = [
  [/^module\.visual\./, 'original'],
  [/^visual\.trunk\./, 'open-clip-timm'],
  [/^vision_model\.embeddings\./, 'hugging-face-clip'],
  [/^visual\.class_embedding$/, 'openai-clip'],
  [/^visual\.layer1\./, 'openai-clip-resnet'],
  [/^visual\.cls_token$/, 'slip'],
  [/^cls_token$/, 'timm'],
];

/** Undefined when no format is recognised. */
export function recogniseFormat(names: Iterable<string>): WeightsFormat | undefined {
  const all = [...names];
  return SIGNS.find(([sign]) => all.some((name) => sign.test(name)))?.[1];
}
