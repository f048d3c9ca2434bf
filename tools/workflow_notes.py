"""What the notes in the workflows for real checkpoints say."""

from __future__ import annotations

UNTRIED = """

*A starting point: so far only the tiny model was tried. These settings need real weights, and \
nobody has tried them here yet, so trust your eyes.*"""

SD15_AB = (
    """## The same seed, without and with Detour

Choose your SD 1.x or 2.x checkpoint, then press **Run**. Both samplers use one seed, one prompt \
and the same settings. Only the model of the lower one goes through the **Variety Dial**.

A word such as *nurse* or *CEO* leaves open who is in the picture. A model answers with what it \
saw most often. The dial skips the U-Net's middle for the first, noisy steps, so that the usual \
answer loses its grip; then the whole model finishes the picture.

### What you should see
- The same place is the same seed. Look from picture to picture for another face, age, pose or \
background.
- Some pictures hardly change. That is normal: make more of them before you judge.
- If hands or faces break, the window is too long: lower `end_percent`.

### What to try next
1. `strength` **0** gives exactly the upper pictures. **0.5** is milder; below 0 is the other way.
2. `end_percent` **0.2** to **0.5**.
3. `cfg` **4** in both samplers: strong guidance may hide what the dial does.
4. The prompt `a portrait of a CEO, photo`. Name no age and no looks: the dial turns only what \
the prompt leaves open."""
    + UNTRIED
)

SDXL_WINDOW = (
    """## A bypass that fades out

Choose your SDXL checkpoint, then press **Run**.

With the shape **cosine** the dial begins at full strength in the noise and falls softly to \
nothing at half of the noise schedule. A soft end should be kinder to details than a hard switch, \
so the window may be longer.

### What you should see
- **The window**: the curve, with one dot for each step of the sampler; filled = bypassed. Set \
this node like the dial; it samples nothing and costs nothing.
- **With Detour** beside **Without**: other faces, clothes, places from the same seeds.

### What to try next
1. The shape **ramp_down**, a straight fall; **curve**, your own points: `0:1, 0.5:0.6, 1:0`.
2. `end_percent` **0.3** and **0.6**.
3. `apply_to` **cond**: only the prompt's half is bypassed.
4. The prompt `a portrait of a nurse, photo`."""
    + UNTRIED
)

IMAGE_TO_IMAGE = (
    """## Image to image

Choose a checkpoint and your picture, then press **Run**. For SD 1.x set both sizes in the \
scaling node to **512**.

An image-to-image run begins late: at `denoise` 0.6 the noisy part in which the dial usually acts \
is already over. So `schedule_by` is **step**: the window lies over the steps of this run, however \
late it begins.

### What you should see
- Both groups keep your picture's composition. **With Detour** the new parts stray further from \
what the model usually paints.
- Set `schedule_by` to **sigma**: both are equal, and a notice on the dial says that its window \
was never reached.

### What to try next
1. `denoise` **0.5** to **0.75** in both samplers.
2. `end_percent` **0.8**: late steps change little, so a longer window is often fine here.
3. The same dial, by step, for a second, enlarging pass (hires fix)."""
    + UNTRIED
)

SD15_SWEEP = (
    """## One sheet, several strengths

Choose your checkpoint, then press **Run**. Everything behind the **Variety Sweep** runs once for \
each number in `strengths`: four numbers take four times as long.

### What you should see
- One column for each strength, headed by it; one row for each seed.
- Read along a row: at which strength does another person appear, and where do details begin to \
break? Take the strength before that into the **Variety Dial**.

### What to try next
1. `strengths` **-0.5, 0, 0.5, 1**: below 0 the mid-block counts more, the other end of the dial.
2. One strength, several windows: change `end_percent` and run again; the seeds stay the same.
3. The sheet is saved as `detour/sd15 sweep` in the output folder."""
    + UNTRIED
)

CONTROL = (
    """## Together with FreeU and ControlNet

Choose your SD 1.x checkpoint, an OpenPose ControlNet and a finished pose map, then press **Run**. \
Another ControlNet works as well, with its own kind of map.

The dial leaves both alone: FreeU works after it, and ControlNet's own push is added at full \
strength after the bypass. The order of FreeU and the dial does not matter.

### What you should see
- The pose is the same in both groups: the ControlNet holds it.
- **With Detour** who stands in that pose may change, from the same seeds.

### What to try next
1. `strength` of the ControlNet **0.6**: the less it holds, the more the dial can move.
2. `end_percent` **0.5** in the dial.
3. Switch FreeU off (Ctrl+B on its node) to see what each of them does."""
    + UNTRIED
)
