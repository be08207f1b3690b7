//! A small blocking client of the Container Runtime Interface (CRI), version v1, as kubelet speaks it.
//!
//! Owns: the messages with those of their fields that the tests use (the others are skipped, as
//! protobuf does), one function a call, and the streams of exec and attach. Must not: know any engine or test.

pub mod messages;
mod stream;

use std::path::Path;
use std::time::Duration;

use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

pub use stream::Stream;

use messages as m;

/// A call that the server refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// gRPC's code, in its own words.
    pub code: String,
    /// What the server says.
    pub message: String,
}

/// A connection to a server's socket.
#[derive(Debug)]
pub struct Client {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

/// One method of the service with its messages.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $path:literal: $request:ident -> $response:ident;)+) => {
        impl Client {
            $($(#[$doc])*
            ///
            /// # Errors
            /// As the server says.
            pub fn $name(&self, request: m::$request) -> Result<m::$response, Refused> {
                self.call(concat!("/runtime.v1.RuntimeService/", $path), request)
            })+
        }
    };
}

methods! {
    /// Who it is.
    version = "Version": VersionRequest -> VersionResponse;
    /// Whether it is ready.
    status = "Status": StatusRequest -> StatusResponse;
    /// Makes a pod and starts its sandbox.
    run_pod_sandbox = "RunPodSandbox": RunPodSandboxRequest -> RunPodSandboxResponse;
    /// Stops a pod with all that runs in it.
    stop_pod_sandbox = "StopPodSandbox": StopPodSandboxRequest -> Empty;
    /// Removes a pod and its containers.
    remove_pod_sandbox = "RemovePodSandbox": RemovePodSandboxRequest -> Empty;
    /// What a pod is like.
    pod_sandbox_status = "PodSandboxStatus": PodSandboxStatusRequest -> PodSandboxStatusResponse;
    /// Makes a container in a pod.
    create_container = "CreateContainer": CreateContainerRequest -> CreateContainerResponse;
    /// Starts it.
    start_container = "StartContainer": StartContainerRequest -> Empty;
    /// Stops it, by KILL after the grace period.
    stop_container = "StopContainer": StopContainerRequest -> Empty;
    /// Removes it, running or not.
    remove_container = "RemoveContainer": RemoveContainerRequest -> Empty;
    /// How it is.
    container_status = "ContainerStatus": ContainerStatusRequest -> ContainerStatusResponse;
    /// All containers of a pod.
    list_containers = "ListContainers": ListContainersRequest -> ListContainersResponse;
    /// Runs a program in it to its end.
    exec_sync = "ExecSync": ExecSyncRequest -> ExecSyncResponse;
    /// Changes its limits.
    update_container_resources = "UpdateContainerResources": UpdateContainerResourcesRequest -> Empty;
    /// What it uses.
    container_stats = "ContainerStats": ContainerStatsRequest -> ContainerStatsResponse;
    /// Runs a program in it; [`crate::Stream`] has its streams.
    exec = "Exec": ExecRequest -> StreamResponse;
    /// Gives the streams of its own program.
    attach = "Attach": AttachRequest -> StreamResponse;
    /// Opens its log anew, after a rotation.
    reopen_container_log = "ReopenContainerLog": ReopenContainerLogRequest -> Empty;
}

impl Client {
    /// Connects to the socket.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn connect(socket: &Path) -> Result<Client, Refused> {
        let failed =
            |error: &dyn std::fmt::Display| Refused { code: "none".into(), message: error.to_string() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))
            .map_err(|error| failed(&error))?
            .timeout(Duration::from_secs(120));
        let channel = runtime.block_on(endpoint.connect()).map_err(|error| failed(&error))?;
        Ok(Client { runtime, channel })
    }

    fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Refused>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut service = Grpc::new(self.channel.clone());
        let answer = self.runtime.block_on(async {
            service
                .ready()
                .await
                .map_err(|error| tonic::Status::new(Code::Unavailable, error.to_string()))?;
            let path = http::uri::PathAndQuery::from_static(path);
            service.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await
        });
        answer.map(tonic::Response::into_inner).map_err(|status| Refused {
            code: format!("{:?}", status.code()),
            message: status.message().to_string(),
        })
    }
}
