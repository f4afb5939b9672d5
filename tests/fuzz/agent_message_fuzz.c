/* agent_message_fuzz.c: any bytes as lines of the agent protocol: no crash, no leak; what decodes can be written
 * again, and reads back as the same kind of message. */
#include "base/must.h"
#include "wire/agent_message.h"

static int write_again(struct buf *out, const struct agent_message *m)
{
    switch (m->type) {
    case AGENT_MESSAGE_HELLO:
        return agent_hello_write(out, &m->u.hello);
    case AGENT_MESSAGE_ASK:
        return agent_ask_write(out, &m->u.ask);
    case AGENT_MESSAGE_ANSWER:
        return agent_answer_write(out, &m->u.answer);
    case AGENT_MESSAGE_CHANGED:
        return agent_changed_write(out, &m->u.answer);
    case AGENT_MESSAGE_DONE:
        return agent_done_write(out, m->u.done);
    case AGENT_MESSAGE_ERROR:
        return agent_error_write(out, &m->u.error);
    case AGENT_MESSAGE_AROUND:
        return agent_around_message_write(out, &m->u.around);
    case AGENT_MESSAGE_KEEP:
        return agent_keep_write(out, &m->u.keep);
    case AGENT_MESSAGE_KEPT:
        return agent_kept_write(out, &m->u.kept);
    case AGENT_MESSAGE_LOSSES:
        return agent_losses_write(out, &m->u.losses);
    }
    return -1;
}

static void check_again(const struct agent_message *first)
{
    struct buf out;
    static struct agent_message second;
    struct agent_error e;
    struct span line;
    size_t used;
    buf_init(&out, (size_t)AGENT_LINE_BYTES * 2);
    if (write_again(&out, first) == 0) { /* escapes can make a long answer longer than a line */
        must(agent_line_next(buf_span(&out), &line, &used) == PARSE_OK && used == buf_len(&out));
        must(agent_message_decode(line, &second, &e) == 0);
        must(second.type == first->type);
        if (first->type == AGENT_MESSAGE_ANSWER || first->type == AGENT_MESSAGE_CHANGED)
            must(second.u.answer.id == first->u.answer.id &&
                 !second.u.answer.sender == !first->u.answer.sender &&
                 !second.u.answer.history == !first->u.answer.history);
        if (first->type == AGENT_MESSAGE_KEEP)
            must(second.u.keep.id == first->u.keep.id && second.u.keep.seconds == first->u.keep.seconds &&
                 strcmp(second.u.keep.sender_ref, first->u.keep.sender_ref) == 0);
        if (first->type == AGENT_MESSAGE_KEPT)
            must(second.u.kept.id == first->u.kept.id && second.u.kept.outcome == first->u.kept.outcome &&
                 second.u.kept.until_ms == first->u.kept.until_ms &&
                 !second.u.kept.history == !first->u.kept.history);
        if (first->type == AGENT_MESSAGE_LOSSES)
            must(second.u.losses.events == first->u.losses.events &&
                 second.u.losses.files == first->u.losses.files &&
                 second.u.losses.forgotten == first->u.losses.forgotten);
        agent_message_free(&second);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span left = span_of(data, size), line;
    size_t used;
    while (agent_line_next(left, &line, &used) == PARSE_OK) {
        static struct agent_message m;
        struct agent_error e;
        if (agent_message_decode(line, &m, &e) == 0) {
            check_again(&m);
            agent_message_free(&m);
        } else {
            must(e.text[0] != 0);
        }
        left = span_from(left, used);
    }
    return 0;
}
