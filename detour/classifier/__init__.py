"""Image classifiers: loaded safely, described fully, edited without writing to them.

Of a classifier: `model` (what it is, what it says about pictures), `facts` (labels, activation and
other things that weights do not tell), `head` (its last linear layer), `heads` (which one that is),
`load` and `save`.
Pictures: `preprocess` (what happens to them first), `resizing`; `processors` and
`processor_kinds` (the same, as transformers writes it), `timm_config` (as timm does).
Weights in files: `checkpoint` (any file, whatever is around them; safetensors), `torch_file` and
`pickled` (PyTorch's, of which nothing runs), `weights` (one of them).
Networks: `networks` (which one it is, and who builds it), `fit` (weights under its names),
`empty_weights` (built without memory), `transformers_folder`.
"""
