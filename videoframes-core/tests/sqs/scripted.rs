//! A server with the protocol of SQS and scripted responses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A response: its status, the code of an error (empty if there is none), and its body.
pub(crate) type Answer = (u16, &'static str, Value);

type Responder = dyn Fn(&str, &Value) -> Answer + Send + Sync;

/// Holds back responses until a test opens the gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

/// Listens on the loopback interface until the end of the process.
pub(crate) struct ScriptedServer {
    pub(crate) endpoint: String,
    /// Action and body of every request.
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ScriptedServer {
    pub(crate) fn answering(answer: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::default());
        let (kept, answer): (_, Arc<Responder>) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &kept, &*answer));
            }
        });
        Self { endpoint, requests }
    }

    /// Returns the bodies of all requests for an action.
    pub(crate) fn asked(&self, action: &str) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        let of_action = requests.iter().filter(|(name, _)| name == action);
        of_action.map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn queue_url(&self) -> String {
        format!("{}/000000000000/scripted", self.endpoint)
    }
}

/// Responds to the requests of one connection.
fn serve(stream: &TcpStream, requests: &Mutex<Vec<(String, Value)>>, answer: &Responder) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut action, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => action = value.trim().rsplit('.').next()?.to_owned(),
                "content-length" => length = value.trim().parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        requests.lock().unwrap().push((action.clone(), body.clone()));
        let (status, code, answer) = answer(&action, &body);
        let text = answer.to_string();
        let error = match code {
            "" => String::new(),
            code => format!("x-amzn-query-error: {code};Sender\r\n"),
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\n{error}content-length: {}\r\n\r\n",
            text.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(text.as_bytes()).ok()?;
    }
}
