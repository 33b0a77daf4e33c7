"""The recipe: batches that tell the truth, runs that can be stopped, models that transformers loads."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel, SiglipModel

from fixlip_helpers import scenes, training
from fixlip_helpers.training import Recipe

TINY = Recipe(steps=4, batch=8, warmup=2)


def holds(words: list[str], facts_of: scenes.Scene) -> bool:
    """Whether the nouns, colours and background of a caption are all in a scene, read word by word."""
    colour = None
    for word in words:
        if word in scenes.COLOURS:
            colour = word
        elif word in training._NOUN_OF:
            noun = scenes.NOUNS[training._NOUN_OF[word]]
            if not any(o.noun == noun and colour in (None, o.colour) for o in facts_of.objects):
                return False
            colour = None
        elif word in scenes.BACKGROUNDS and word != facts_of.background:
            return False
    return True


def test_captions_are_true_of_their_own_picture_and_truth_is_told_of_the_others():
    pictures = [scenes.make_scene(seed) for seed in range(60)]
    facts = np.stack([training._facts_of(s.objects, s.background) for s in pictures])
    for scene in pictures:
        words = scene.caption.split()
        claims = training._claims_of(words, np.ones(len(words), bool))
        told = claims @ (1 - facts).T == 0
        assert told.tolist() == [holds(words, other) for other in pictures]


def test_hidden_words_claim_nothing():
    words = "a red dog and a cat on grass".split()
    seen = np.array([w not in ("red", "cat", "grass") for w in words])
    assert (training._claims_of(words, seen) == training._claims_of(["dog"], np.ones(1, bool))).all()


def test_hard_negatives_are_mostly_false_and_in_words_of_the_world():
    false = 0
    for seed in range(200):
        scene = scenes.make_scene(seed)
        dice = scenes._Dice(seed)
        words, wrong = training._captions(scene, list(scene.objects), dice)
        assert set(words) | set(wrong) <= set(scenes.WORDS) and holds(words, scene)
        false += not holds(wrong, scene)
    assert false > 150  # the others are left out of the contrast, as all captions that hold are


def test_the_batch_tells_which_hard_negatives_hold_after_all():
    batch = training.make_batch(TINY, 0)
    words = {number: word for word, number in training.VOCABULARY.items()}
    n = TINY.batch
    for k in range(n):
        same = [words[int(i)] for i in batch["ids"][k]] == [words[int(i)] for i in batch["ids"][n + k]]
        assert batch["holds"][k, k]
        assert batch["holds"][k, n + k] or not same


def test_colour_questions_have_one_right_answer_and_withhold_what_training_withholds():
    asked = 0
    for seed in range(200):
        scene = scenes.make_scene(seed)
        words = scene.caption.split()
        question = training._colour_question(words, list(scene.objects), scenes._Dice(seed))
        if question is None:
            continue
        asked += 1
        captions, counts, answer, noun = question
        assert all(
            noun in (scenes.NOUNS[training._NOUN_OF[w]] for w in c if w in training._NOUN_OF)
            for c in captions
        )
        assert counts[answer] and len(captions) == len(counts) == 1 + len(scenes.COLOURS)
        assert words in captions and captions.index(words) == answer
        truth = [holds(caption, scene) for caption in captions]
        # without its colour a caption still holds; no other colour does
        assert truth == [i in (answer, len(scenes.COLOURS)) for i in range(len(captions))]
        for caption, counted in zip(captions, counts, strict=True):
            claims = training._claims_of(caption, np.ones(len(caption), bool))
            pairs = claims[: len(scenes.NOUNS) * 9].reshape(-1, 9)[:, 1:]
            new = any(
                scenes.withheld(scenes.NOUNS[i], list(scenes.COLOURS)[c]) for i, c in np.argwhere(pairs)
            )
            assert counted or new
    assert asked > 150


def test_evidence_paints_out_patches_of_the_thing_that_is_asked_of_and_hides_no_colour():
    batch = training.make_batch(Recipe(steps=4, batch=64), 0)
    words = {number: word for word, number in training.VOCABULARY.items()}
    kept = batch["keep"][batch["asked"]]
    gone = kept & ~batch["without"]
    assert gone.any(1).all() and not (batch["without"] & ~kept).any()
    for number, k in enumerate(batch["asked"].tolist()):
        captions = batch["options"][9 * number : 9 * number + 9]
        # red and yellow take one article: the two captions differ in the colour, and the noun asked of follows it
        colours = list(scenes.COLOURS)
        red, yellow = captions[colours.index("red")], captions[colours.index("yellow")]
        hue = (red != yellow).nonzero().item()
        noun = training._NOUN_OF[words[int(red[hue + 1])]]
        strong = batch["patch_noun"][k][gone[number]]
        shown = set(strong[strong != training._NO_NOUN].tolist())
        # where things overlap, a patch of one may show more of another, but not all of them
        assert not shown or noun in shown
    hidden = {words[int(i)] for i in batch["options"][~batch["options_visible"]]}
    assert hidden and not hidden & set(scenes.COLOURS)
    assert batch["whole"].any() and not batch["whole"].all()


def test_evidence_changes_nothing_else_of_a_batch():
    one = training.make_batch(Recipe(steps=4, batch=16), 1)
    two = training.make_batch(Recipe(steps=4, batch=16, evidence_weight=0.0), 1)
    assert two["whole"].all() and two["options_visible"].all()
    assert all(torch.equal(one[key], two[key]) for key in one if key not in ("whole", "options_visible"))


def test_muon_in_single_precision_is_torchs_own():
    torch.manual_seed(0)
    mine = torch.nn.Parameter(torch.randn(48, 96))
    theirs = torch.nn.Parameter(mine.detach().clone())
    before = mine.detach().clone()
    settings = dict(lr=0.01, weight_decay=0.1)
    one = training._Muon([mine], **settings)
    two = torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        mine.grad = torch.randn(48, 96)
        theirs.grad = mine.grad.clone()
        one.step()
        two.step()
    # theirs computes the direction in bfloat16
    assert (mine - theirs).norm() < 0.02 * (mine - before).norm()


def test_batches_depend_on_seed_and_step_alone():
    one, two = training.make_batch(TINY, 3), training.make_batch(TINY, 3)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["pixels"], training.make_batch(TINY, 2)["pixels"])


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path):
    whole = training.train("mini-clip", tmp_path / "whole", TINY, minutes_between_checkpoints=0)
    torch.manual_seed(0)
    parts = tmp_path / "parts"
    real, steps = training.loss_of, []

    def interrupt(*args):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return real(*args)

    training.loss_of = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            training.train("mini-clip", parts, TINY, minutes_between_checkpoints=0)
    finally:
        training.loss_of = real
    continued = training.train("mini-clip", parts, TINY, minutes_between_checkpoints=0)
    a = CLIPModel.from_pretrained(whole).state_dict()
    b = CLIPModel.from_pretrained(continued).state_dict()
    assert all(torch.allclose(a[key].float(), b[key].float(), atol=1e-6) for key in a)
    assert json.loads((continued / "training.json").read_text())["recipe"]["steps"] == 4
    with pytest.raises(ValueError, match="choose another folder"):
        training.train("mini-clip", parts, Recipe(steps=5, batch=8, warmup=2))


@pytest.mark.parametrize(("name", "kind"), [("mini-clip", CLIPModel), ("mini-siglip", SiglipModel)])
def test_an_exported_model_is_what_was_built(tmp_path, name, kind):
    model = training.build_model(name).eval()
    folder = training.export(model, tmp_path / name)
    assert (folder / "model.safetensors").stat().st_size < 8_000_000
    loaded = kind.from_pretrained(folder).eval()
    assert loaded.dtype == torch.float32
    tokens = AutoTokenizer.from_pretrained(folder)(
        "a red dog, and a cat", padding="max_length", return_tensors="pt"
    )
    assert tokens.input_ids[0, :8].tolist() == [
        training.VOCABULARY[w] for w in "<bos> a red dog and a cat <eos>".split()
    ]
    pixels = torch.randn(1, 3, 128, 128)
    before = model(pixel_values=pixels, input_ids=tokens.input_ids).logits_per_image
    after = loaded(pixel_values=pixels, input_ids=tokens.input_ids).logits_per_image
    assert torch.allclose(before, after, atol=0.05)  # weights are stored in half precision


def test_text_is_pooled_at_eos_and_not_at_the_largest_id():
    model = training.build_model("mini-clip").eval()
    words = "a magnet and a teapot on grass".split()  # ids larger than EOS stand before it
    ids = torch.tensor([training._tokens(words)])
    assert ids.max() > training.VOCABULARY["<eos>"] != 2
    out = model.text_model(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert torch.equal(out.pooler_output[0], out.last_hidden_state[0, -1])


def test_the_towers_that_are_trained_are_those_that_are_used():
    """The training pass with all patch tokens equals transformers' own forward pass."""
    for name in training.EMBEDDED:
        model = training.build_model(name).eval()
        towers = training._Towers(model).eval()
        pixels, tokens = torch.randn(2, 3, 128, 128), torch.arange(64).expand(2, -1)
        mine, _ = towers.image(pixels, tokens)
        theirs = model.get_image_features(pixel_values=pixels)
        theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.pooler_output
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="mini-clip, mini-siglip"):
        training.build_model("maxi-clip")


def test_a_model_can_begin_with_the_layers_of_another(tmp_path):
    clip = training.build_model("mini-clip", seed=1)
    training.export(clip, tmp_path)
    siglip = training.build_model("mini-siglip", seed=2)
    copied = training.begin_with(siglip, tmp_path)
    assert copied > 0.75 * sum(p.numel() for p in siglip.parameters())
    for layer in range(4):
        mine = siglip.vision_model.encoder.layers[layer].mlp.fc1.weight
        theirs = clip.vision_model.encoder.layers[layer].mlp.fc1.weight
        assert torch.allclose(mine, theirs, atol=1e-3)
    places = siglip.vision_model.embeddings.position_embedding.weight
    assert torch.allclose(places, clip.vision_model.embeddings.position_embedding.weight[1:], atol=1e-3)
    assert siglip.logit_scale.item() == pytest.approx(np.log(10))
    # a second run of the same kind goes on with everything, scale and bias too
    with torch.no_grad():
        siglip.logit_scale.fill_(3.0)
        siglip.logit_bias.fill_(-12.0)
    training.export(siglip, tmp_path / "first")
    again = training.build_model("mini-siglip", seed=3)
    assert training.begin_with(again, tmp_path / "first") == sum(p.numel() for p in siglip.parameters())
    assert (again.logit_scale.item(), again.logit_bias.item()) == (3.0, -12.0)


def test_another_scale_leaves_the_undecided_cosine_where_it_is():
    model = training.build_model("mini-siglip")
    undecided = -model.logit_bias / model.logit_scale.exp()
    training.set_scale(model, 40.0)
    assert model.logit_scale.exp().item() == pytest.approx(40)
    assert torch.allclose(-model.logit_bias / model.logit_scale.exp(), undecided)
