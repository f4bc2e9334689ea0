use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_received_message_is_hidden_until_its_timeout_ends() {
    let queue = MemoryQueue::new("q");
    queue.put("a", Attributes::new());
    let first = queue.receive(10, SECOND, Some(SECOND * 5)).await.unwrap();
    assert_eq!(
        queue.receive(10, SECOND, None).await.unwrap(),
        [],
        "hidden, and the wait ends"
    );
    let again = queue.receive(10, SECOND * 20, None).await.unwrap();
    assert_eq!((first[0].receive_count, again[0].receive_count), (1, 2));
    assert_eq!(first[0].id, again[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_stale_receipt_handle_deletes_nothing_and_changes_nothing() {
    let queue = MemoryQueue::new("q");
    queue.put("a", Attributes::new());
    let first = queue.receive(1, SECOND, Some(SECOND)).await.unwrap();
    let second = queue.receive(1, SECOND * 5, Some(SECOND)).await.unwrap();
    let stale = [first[0].receipt_handle.clone()];
    assert_eq!(queue.delete_batch(&stale).await, [Ok(())]);
    let change = VisibilityChange {
        receipt_handle: stale[0].clone(),
        timeout: SECOND,
    };
    assert!(queue.change_visibility(&[change]).await[0].is_err());
    assert_eq!(queue.messages().len(), 1);
    assert_eq!(
        queue.delete_batch(&[second[0].receipt_handle.clone()]).await,
        [Ok(())]
    );
    assert_eq!(queue.messages(), []);
    assert!(queue.delete_batch(&["other#1#1".into()]).await[0].is_err());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_becomes_visible_ends_the_wait() {
    let queue = MemoryQueue::new("q");
    let begin = Instant::now();
    let (received, ()) = tokio::join!(queue.receive(1, SECOND * 20, None), async {
        tokio::time::sleep(SECOND * 3).await;
        queue.put("late", Attributes::new());
    });
    assert_eq!(received.unwrap().len(), 1);
    assert_eq!(begin.elapsed(), SECOND * 3);
}

#[tokio::test]
async fn faults_come_as_scripted() {
    let queue = MemoryQueue::new("q");
    let message = OutgoingMessage {
        body: "a".into(),
        attributes: Attributes::new(),
    };
    queue.script("SendMessageBatch", Fault::Entries(vec![1]));
    queue.script("SendMessageBatch", Fault::LostAnswer);
    let batch = [message.clone(), message];
    let sent: Vec<bool> = queue.send_batch(&batch).await.iter().map(Result::is_ok).collect();
    assert_eq!(sent, [true, false]);
    assert!(queue.send_batch(&batch).await.iter().all(Result::is_err));
    assert_eq!(queue.messages().len(), 3);
}

#[test]
#[should_panic(expected = "never called")]
fn a_script_that_was_not_played_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { MemoryQueue::new("q").script("SendMessage", Fault::Call) });
}
